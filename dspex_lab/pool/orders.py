"""What a client may ask of the host itself, by name: questions and orders about pools, workers and the host."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspex_lab.clock import Clock
from dspex_lab.errors import Cancelled, ConfigurationError, ProtocolError, SessionLost, error_from_dict
from dspex_lab.pool.broker import Broker
from dspex_lab.pool.jobs import JobBook
from dspex_lab.pool.ledger import Ledger
from dspex_lab.pool.notebook_runs import NotebookRuns
from dspex_lab.pool.processes.lifecycle import KernelLifecycle
from dspex_lab.pool.processes.logs import tail
from dspex_lab.pool.run_orders import RunOrders, Told
from dspex_lab.settings import PoolSpec
from dspex_lab.wire.messages import RUN_ANSWER, RUN_RERUN

__all__ = ["Orders"]


@dataclass(frozen=True)
class Orders:
    """Every order is a public method whose parameters are plain data and whose value is too; that of an asynchronous
    one is awaited."""

    host_id: str
    started_at: float
    broker: Broker
    jobs: JobBook
    runs: NotebookRuns
    run_orders: RunOrders
    kernels: KernelLifecycle
    ledger: Ledger
    clock: Clock
    log_files: Callable[[], list[Path]]
    stop_host: Callable[[], None]

    def carry_out(self, peer: bytes, method: str, params: dict[str, Any]) -> Any:
        """The answer to ``peer``, who asks for ``method``; a ``ProtocolError`` for what the host does not know."""
        name = method.replace(".", "_")
        order = getattr(self, name, None) if name in _NAMES else None
        if order is None:
            raise ProtocolError(f"The host knows no order {method!r}.")
        try:
            return order(peer, **params) if name in _OF_PEERS else order(**params)
        except TypeError as error:
            raise ProtocolError(f"The order {method!r} was given the wrong parameters: {error}.") from error

    def status(self) -> dict[str, Any]:
        """The host, its clients, and every pool with its workers."""
        clients = [peer for peer in self.broker.peers.values() if peer.role == "client"]
        return {
            "host_id": self.host_id,
            "pid": os.getpid(),
            "uptime_s": self.clock.monotonic() - self.started_at,
            "clients": [{"name": peer.name, "pid": peer.pid, "in_flight": len(peer.calls)} for peer in clients],
            "in_flight": len(self.broker.calls),
            "pools": self.broker.workforce.statistics(),
        }

    def stop(self) -> None:
        """End the host, its workers and every call under way."""
        self.stop_host()

    def pools_ensure(self, specs: list[dict[str, Any]]) -> list[str]:
        """Add the pools that are not there yet; the names of all pools."""
        for spec in specs:
            self.broker.workforce.add_pool(PoolSpec.create(**spec))
        return list(self.broker.workforce.pools)

    def pools_resize(self, name: str, size: int) -> None:
        """Change how many workers a pool may have."""
        self.broker.workforce.resize(name, size)
        self.broker.balance(self.broker.workforce.pool(name))

    def pools_add(self, spec: dict[str, Any]) -> None:
        """Add a pool; ``ConfigurationError`` when there is one of that name with other values, but for those that were
        resized: a cell that adds a pool can be run again."""
        wanted, workforce = PoolSpec.create(**spec), self.broker.workforce
        known = workforce.pools.get(wanted.name)
        if known is not None and not known.is_leaving and wanted not in (known.spec, known.declared):
            raise ConfigurationError(
                f"There is a pool {wanted.name!r} already, with other values.",
                "pool",
                "another name",
                wanted.name,
                hint="Remove it first (%lab pools remove), resize it, or choose another name.",
            )
        workforce.add_pool(wanted)

    def pools_restart(self, name: str) -> int:
        """Replace a pool's workers when they have finished their calls; how many."""
        count = self.broker.workforce.restart(name)
        self.broker.balance(self.broker.workforce.pool(name))
        return count

    def pools_remove(self, name: str) -> None:
        """Let go of a pool that nobody uses."""
        self.broker.workforce.remove(name)

    def pools_start(self, name: str) -> None:
        """Bring a pool to its ``min_ready`` workers (one at least) before anybody calls it."""
        pool = self.broker.workforce.pool(name)
        pool.is_awake = True
        if not pool.workers:
            self.broker.workforce.start(pool)
        self.broker.balance(pool)

    def jobs_list(self) -> list[dict[str, Any]]:
        """Every detached call that the host knows."""
        return self.jobs.summaries()

    def jobs_outcome(self, job: str) -> dict[str, Any]:
        """How a detached call stands, and what it came to."""
        return self.jobs.outcome(job)

    def jobs_cancel(self, job: str) -> None:
        """Stop a detached call, whoever made it; one that has ended is left as it is."""
        call = self.jobs.call(job)
        if call is not None:
            self.broker.stop_call(call, Cancelled("The job was cancelled."))

    def runs_cancel(self, run: str) -> list[str]:
        """Have the notebook that has a run cancel it; the names of those who were asked."""
        return self.runs.cancel(run)

    def runs_owner(self, run: str) -> str | None:
        """The name of the notebook that is known to have a run, also one that is over; None when none is."""
        return self.runs.owner(run)

    async def runs_answer(self, run: str, question: str, values: dict[str, Any]) -> None:
        """Have the notebook that has a run answer what it asks, with what was typed into the question's fields. Raises
        what the notebook does."""
        await self.run_orders.give(RUN_ANSWER, run, question=question, values=values)

    async def runs_rerun(self, run: str, step: str | None = None) -> str:
        """Have the notebook that has a run begin it again from a step on; the id of the new run. Raises what the
        notebook does."""
        run_id: str = await self.run_orders.give(RUN_RERUN, run, step=step)
        return run_id

    def runs_told(
        self, peer: bytes, /, order: str, has_run: bool, value: Any = None, error: dict[str, Any] | None = None
    ) -> None:
        """A notebook says what came of an order about one of its runs."""
        told = Told(has_run, value, None if error is None else error_from_dict(error))
        self.run_orders.told(peer, order, told)

    def session_open(self, peer: bytes, /, pool: str, idle_expiry_s: float) -> str:
        """Open a session of who asks; its id."""
        return self.broker.open_session(peer, pool, idle_expiry_s).id

    def session_close(self, peer: bytes, /, session: str) -> None:
        """End a session of who asks, and its worker; one that ended before is no error."""
        with contextlib.suppress(SessionLost):
            self.broker.end_session(self.broker.sessions.find(session, peer), "it was closed")

    def worker_connection(self, worker: str) -> str:
        """The Jupyter connection file of a worker, for a console."""
        path = self.kernels.connection_file(worker)
        if path is None:
            workers = ", ".join(self.broker.workforce.workers) or "none"
            raise ConfigurationError(
                f"There is no worker {worker!r}.", "worker", workers, worker, hint=f"The workers are: {workers}."
            )
        return path

    def statistics(self) -> dict[str, Any]:
        """What was counted since the host began: every operation of every pool, every kind of step of runs, and the
        last hour in pieces of five seconds, by pool and ("") in all."""
        ledger, now = self.ledger, self.clock.now()
        return {
            "since": ledger.collector.since,
            "now": now,
            "series": ledger.statistics(),
            "steps": ledger.step_statistics(),
            "history": ledger.history.snapshot(now),
        }

    def traces_hide(self, peer: bytes, /) -> None:
        """Keep no prompts and answers of what who asks does."""
        self.ledger.hide(peer)

    async def traces_settle(self) -> None:
        """Write down what is known of traces; answered when it is on the disk."""
        await self.ledger.settle()

    def logs(self) -> dict[str, str]:
        """The end of every log file, by path."""
        return {str(path): tail(path) for path in self.log_files()}


_NAMES = frozenset(name for name in vars(Orders) if not name.startswith("_")) - {"carry_out"}
#: What is answered by who asks.
_OF_PEERS = frozenset({"session_open", "session_close", "traces_hide", "runs_told"})
