"""The pools without a script: what a saved notebook shows of them, and their text for terminals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from dspex_lab.telemetry.run_view.formats import seconds
from dspex_lab.telemetry.static_form import box, columns, head, no_math, table

__all__ = ["pools_html", "pools_text"]

_MB = 1024 * 1024
_HEADINGS = ("pool", "workers", "state", "running", "waiting", "done", "failed", "lost", "memory", "CPU")
_DIGITS = (3, 4, 5, 6, 7, 8, 9)
_NO_HOST = "No pool host runs; the first call starts one."


def pools_html(state: Mapping[str, Any]) -> str:
    """A table of the pools, as they were when it was written."""
    trouble = f'<div style="padding: 4px 14px">! {no_math(state["trouble"])}</div>' if state["trouble"] else ""
    if state["host"] is None:
        return box(head("Pools", "no host"), trouble or f'<div style="padding: 4px 14px; opacity: .7">{_NO_HOST}</div>')
    rows = [[f"<strong>{no_math(row[0])}</strong>", *map(no_math, row[1:])] for row in _rows(state)]
    return box(head("Pools", _about(state["host"])), trouble, table(_HEADINGS, rows, digits=_DIGITS))


def pools_text(state: Mapping[str, Any]) -> str:
    """The pools in lines."""
    trouble = [f"! {state['trouble']}"] if state["trouble"] else []
    if state["host"] is None:
        return "\n".join(trouble or [_NO_HOST])
    return "\n".join([f"Pools: {_about(state['host'])}", *trouble, columns([_HEADINGS, *_rows(state)], right=_DIGITS)])


def _about(host: Mapping[str, Any]) -> str:
    clients = len(host["clients"])
    who = "1 notebook" if clients == 1 else f"{clients} notebooks"
    return f"host {host['id'][:8]} · up {seconds(host['uptime_s'])} · {who} · {host['in_flight']} calls under way"


def _rows(state: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            pool["name"],
            f"{len(pool['workers'])} of {pool['size']}",
            pool["trouble"] or _states(pool),
            f"{pool['in_flight']:,}",
            f"{pool['queued']:,}",
            f"{pool['succeeded']:,}",
            f"{pool['failed']:,}",
            f"{pool['lost_workers']:,}",
            f"{pool['rss_bytes'] / _MB:,.0f} MB" if pool["workers"] else "",
            "" if pool["cpu_percent"] is None else f"{pool['cpu_percent']:.0f} %",
        )
        for pool in state["pools"]
    ]


def _states(pool: Mapping[str, Any]) -> str:
    counts = Counter(worker["state"] for worker in pool["workers"])
    states = ", ".join(f"{count} {name}" for name, count in counts.items()) or "asleep"
    return f"{states} · {pool['device']}" if pool["device"] else states
