"""What a host looks like: a pure value over the status that it reports, with its text and HTML forms.

Notebooks, terminals and the JupyterLab panels show the same; knows nothing of sockets or kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Self

__all__ = ["HostView", "PoolView", "SessionView", "WorkerView"]

_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker: memory in bytes, CPU in seconds since its start and in percent of one processor now (None: not
    known yet), device memory in bytes (None: it has none, or the driver does not tell)."""

    id: str
    state: str
    pid: int | None
    in_flight: int
    calls_done: int
    rss_bytes: int
    cpu_s: float
    cpu_percent: float | None = None
    gpu_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class SessionView:
    """One session: its worker (None while it has none), its calls, and how long it is without one, in seconds."""

    id: str
    worker: str | None
    in_flight: int
    waiting: int
    idle_s: float

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for a worker."""
        return self.worker is None and self.waiting > 0


@dataclass(frozen=True, slots=True)
class PoolView:
    """One pool: how many workers it may have, what waits, what it did, and what troubles it."""

    name: str
    size: int
    queued: int
    submitted: int
    succeeded: int
    failed: int
    cancelled: int
    lost_workers: int
    trouble: str | None
    device: str
    workers: tuple[WorkerView, ...]
    sessions: tuple[SessionView, ...]

    @property
    def in_flight(self) -> int:
        return sum(worker.in_flight for worker in self.workers)

    @property
    def rss_bytes(self) -> int:
        return sum(worker.rss_bytes for worker in self.workers)

    def states(self) -> str:
        """The workers' states with their numbers, and the sessions that wait for one: "2 ready, 1 in session"."""
        names = [worker.state for worker in self.workers]
        parts = [f"{names.count(name)} {name}" for name in dict.fromkeys(names)]
        if waiting := sum(session.is_waiting for session in self.sessions):
            parts.append("1 session waits" if waiting == 1 else f"{waiting} sessions wait")
        return ", ".join(parts) or "asleep"


@dataclass(frozen=True, slots=True)
class HostView:
    """The host and all that it keeps."""

    host_id: str
    pid: int
    uptime_s: float
    clients: tuple[str, ...]
    pools: tuple[PoolView, ...]
    #: The notebook's own circuits to models and pools, one line each: of these the host knows nothing.
    circuits: tuple[str, ...] = ()

    @classmethod
    def from_status(cls, status: Mapping[str, Any]) -> Self:
        """The view of what the host answered to ``status``."""
        return cls(
            host_id=str(status.get("host_id", "")),
            pid=int(status["pid"]),
            uptime_s=float(status.get("uptime_s", 0.0)),
            clients=tuple(str(client["name"]) for client in status["clients"]),
            pools=tuple(_pool(name, pool) for name, pool in status["pools"].items()),
        )

    def pool(self, name: str) -> PoolView:
        """The pool called ``name``; ``KeyError`` when there is none."""
        for pool in self.pools:
            if pool.name == name:
                return pool
        raise KeyError(name)

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                pool.name,
                f"{len(pool.workers)} of {pool.size}",
                pool.trouble or ", ".join(part for part in (pool.states(), pool.device) if part),
                f"{pool.in_flight} running, {pool.queued} waiting",
                f"{pool.succeeded} done, {pool.failed} failed",
                f"{pool.rss_bytes / _MB:.0f} MB" if pool.workers else "",
            )
            for pool in self.pools
        ]

    def _headline(self) -> str:
        who = "notebook" if len(self.clients) == 1 else "notebooks"
        return f"Pool host {self.host_id}: up {_duration(self.uptime_s)}, pid {self.pid}, {len(self.clients)} {who}"

    def __repr__(self) -> str:
        rows = [_HEADINGS, *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([self._headline(), *lines, *self._circuit_lines()])

    def _circuit_lines(self) -> list[str]:
        return [f"Circuit of {one}" for one in self.circuits]

    def _repr_html_(self) -> str:
        head = "".join(f'<th style="text-align:left">{escape(cell)}</th>' for cell in _HEADINGS)
        body = "".join(
            "<tr>" + "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in row) + "</tr>"
            for row in self._rows()
        )
        caption = f'<caption style="text-align:left;opacity:.7;white-space:nowrap">{escape(self._headline())}</caption>'
        circuits = "".join(f'<div style="opacity:.7">{escape(line)}</div>' for line in self._circuit_lines())
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{circuits}"


_HEADINGS = ("pool", "workers", "state", "calls", "so far", "memory")


def _pool(name: str, pool: Mapping[str, Any]) -> PoolView:
    counters = pool["counters"]
    return PoolView(
        name=name,
        size=pool["spec"]["size"],
        queued=pool["queued"],
        submitted=counters["submitted"],
        succeeded=counters["succeeded"],
        failed=counters["failed"],
        cancelled=counters["cancelled"],
        lost_workers=counters["lost_workers"],
        trouble=pool["trouble"],
        device=pool.get("device", ""),
        workers=tuple(
            WorkerView(
                worker["id"],
                worker["state"],
                worker["pid"],
                worker["in_flight"],
                worker["calls_done"],
                worker["rss_bytes"],
                worker["cpu_s"],
                worker.get("cpu_percent"),
                worker.get("gpu_memory_bytes"),
            )
            for worker in pool["workers"]
        ),
        sessions=tuple(
            SessionView(session["id"], session["worker"], session["in_flight"], session["waiting"], session["idle_s"])
            for session in pool.get("sessions", ())
        ),
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
