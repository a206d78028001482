"""The workers of all pools: who starts, who serves, who is let go, and why a pool is in trouble.

Synchronous and without I/O: processes are moved through :class:`Kernels`. Knows nothing of calls beyond their ids.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from dspex_lab.calls import ANY_POOL, Needs
from dspex_lab.clock import Clock
from dspex_lab.errors import ConfigurationError, LabError, ProtocolError, WorkerLost
from dspex_lab.pool.processes.gpu_usage import GpuUsage
from dspex_lab.pool.records import PoolRecord, WorkerPhase, WorkerRecord
from dspex_lab.pool.selection import Candidate, choose_pool, what_lacks
from dspex_lab.settings import PoolSpec
from dspex_lab.wire.messages import Demands, Submit

__all__ = ["Kernels", "Workforce"]

log = logging.getLogger(__name__)

_MAX_BACKOFF_S = 30.0


class Kernels(Protocol):
    """The way to processes. Every order returns at once; an end is told to ``Broker.worker_exited``."""

    def start(self, worker_id: str, spec: PoolSpec) -> None:
        """Start a worker's process; it says hello when it is ready."""
        ...

    def refusal(self, spec: PoolSpec) -> LabError | None:
        """Why this machine cannot have workers of ``spec``, or None when it can."""
        ...

    def has_gpu(self, spec: PoolSpec) -> bool:
        """Whether the workers of ``spec`` compute on a GPU here."""
        ...

    def device(self, spec: PoolSpec) -> str:
        """What the workers of ``spec`` compute on, for people; "" when nothing was asked for."""
        ...

    def stop(self, worker_id: str) -> None:
        """Ask the worker to go, and see to it that it does."""
        ...

    def interrupt(self, worker_id: str) -> None:
        """Interrupt what the worker's main thread is doing."""
        ...

    def kill(self, worker_id: str) -> None:
        """End the process now."""
        ...


class Workforce:
    """Pools and their workers. ``on_change(worker)`` is told of every step in a worker's life."""

    def __init__(
        self,
        specs: tuple[PoolSpec, ...],
        kernels: Kernels,
        clock: Clock,
        on_change: Callable[[WorkerRecord], None] = lambda _: None,
    ) -> None:
        self.pools = {spec.name: PoolRecord(spec) for spec in specs}
        self.workers: dict[str, WorkerRecord] = {}
        self._kernels = kernels
        self._clock = clock
        self._on_change = on_change
        self._numbers = itertools.count(1)
        #: As it was last read; who has a driver to ask does so.
        self.gpu_usage = GpuUsage()

    def add_pool(self, spec: PoolSpec) -> None:
        """Add a pool; one of the same name keeps its workers and its own spec."""
        pool = self.pools.setdefault(spec.name, PoolRecord(spec))
        if pool.is_leaving:
            raise ConfigurationError(
                f"The pool {spec.name!r} is still ending.",
                "pool",
                "another name",
                spec.name,
                hint="Try again in a moment.",
            )

    def restart(self, name: str) -> int:
        """Replace the workers of a pool, each when it has finished its calls; sessions keep theirs. How many go."""
        pool, now, count = self.pool(name), self._clock.monotonic(), 0
        for worker in list(pool.workers.values()):
            if worker.session is not None or worker.phase not in (WorkerPhase.STARTING, WorkerPhase.READY):
                continue
            count += 1
            if worker.phase is WorkerPhase.STARTING:
                self.stop(worker)
                continue
            worker.step(WorkerPhase.DRAINING, now)
            self._on_change(worker)
            self.recycle_if_due(worker)
        pool.start_failures, pool.trouble, pool.may_start_at = 0, None, now
        return count

    def remove(self, name: str) -> None:
        """Let go of a pool that nobody uses. ``ConfigurationError`` while there are calls or sessions in it."""
        pool = self.pool(name)
        calls = len(pool.queue) + len(pool.light) + sum(len(worker.calls) for worker in pool.workers.values())
        if calls or pool.sessions:
            used = f"{calls} calls and {len(pool.sessions)} sessions"
            raise ConfigurationError(
                f"The pool {name!r} is in use: {used}.",
                "pool",
                "a pool without calls",
                used,
                hint="Wait for them, or cancel them.",
            )
        pool.is_leaving, pool.is_awake = True, False
        for worker in list(pool.workers.values()):
            self.stop(worker)
        self.forget_removed()

    def forget_removed(self) -> None:
        """Forget the pools that were removed and whose last worker is gone."""
        for name in [name for name, pool in self.pools.items() if pool.is_leaving and not pool.workers]:
            del self.pools[name]

    def refusal(self, pool: PoolRecord) -> LabError | None:
        """Why no call of the pool can ever run on this machine, or None when it can."""
        return self._kernels.refusal(pool.spec)

    def pool(self, name: str) -> PoolRecord:
        """The pool called ``name``, or a ``ConfigurationError`` that names those there are."""
        pool = self.pools.get(name)
        if pool is None or pool.is_leaving:
            names = ", ".join(name for name, one in self.pools.items() if not one.is_leaving)
            raise ConfigurationError(
                f"There is no pool {name!r}.", "pool", f"one of {names}", name, hint=f"The pools are: {names}."
            )
        return pool

    def placed(self, submit: Submit) -> Submit:
        """The call with its pool: the one that it names, or one that has what it needs. ``ConfigurationError`` when
        there is none, or when the pool that it names lacks something."""
        if submit.needs is None and submit.pool != ANY_POOL:
            return submit
        demands = submit.needs or Demands()
        needs = Needs(demands.gpu, demands.memory_mb, demands.labels)
        if submit.pool == ANY_POOL:
            chosen = choose_pool(needs, [self._candidate(pool) for pool in self.pools.values() if not pool.is_leaving])
            return msgspec.structs.replace(submit, pool=chosen)
        if lack := what_lacks(needs, self._candidate(self.pool(submit.pool))):
            raise ConfigurationError(
                f"The pool {submit.pool!r} lacks what the call needs: {lack}.",
                "needs",
                str(needs),
                submit.pool,
                hint="Leave pool= out, and a pool is picked that has it.",
            )
        return submit

    def _candidate(self, pool: PoolRecord) -> Candidate:
        spec = pool.spec
        return Candidate(
            spec.name,
            spec.max_memory_mb,
            has_gpu=self._kernels.has_gpu(spec),
            is_sandbox=spec.sandbox == "on",
            labels=frozenset(spec.labels),
            free=spec.size * spec.concurrency
            - sum(len(worker.calls) - len(worker.light) for worker in pool.workers.values()),
            waiting=len(pool.queue),
        )

    def resize(self, name: str, size: int) -> None:
        """Change how many workers a pool may have; those too many go as soon as they idle."""
        pool = self.pool(name)
        values = pool.spec.model_dump() | {"size": size, "min_ready": min(pool.spec.min_ready, size)}
        pool.spec = PoolSpec.create(**values)

    def start(self, pool: PoolRecord) -> WorkerRecord:
        """Start a worker for ``pool``."""
        now = self._clock.monotonic()
        worker_id = f"{pool.spec.name}-{next(self._numbers)}"
        worker = WorkerRecord(worker_id, pool.spec.name, WorkerPhase.STARTING, now, last_heard=now)
        self.workers[worker_id] = pool.workers[worker_id] = worker
        pool.counters.started_workers += 1
        self._on_change(worker)
        self._kernels.start(worker_id, pool.spec)
        return worker

    def greet(self, worker_id: str, peer: bytes, pid: int) -> WorkerRecord:
        """The worker said hello: from now on it takes calls."""
        worker = self.workers.get(worker_id)
        if worker is None or worker.phase is not WorkerPhase.STARTING:
            raise ProtocolError(f"No worker {worker_id!r} is expected.")
        now = self._clock.monotonic()
        worker.step(WorkerPhase.READY, now)
        worker.peer, worker.pid = peer, pid
        worker.idle_since = worker.last_heard = now
        pool = self.pools[worker.pool]
        pool.start_failures, pool.trouble = 0, None
        self._on_change(worker)
        return worker

    def reject(self, worker_id: str, error: LabError) -> None:
        """Who is expected under that name says hello in a way that does not do: it will not get better by waiting."""
        worker = self.workers.get(worker_id)
        if worker is not None and worker.phase is WorkerPhase.STARTING:
            self.kill(worker, WorkerLost(f"The worker {worker_id} cannot be used: {error.message}", hint=error.hint))

    def recycle_if_due(self, worker: WorkerRecord) -> None:
        """Replace a worker that did enough calls, is old or large enough, or asked for it, after the calls that it has.
        One that a session has stays: it goes with the session."""
        if worker.session is not None:
            return
        spec, now = self.pools[worker.pool].spec, self._clock.monotonic()
        has_done = spec.recycle_after_calls is not None and worker.calls_done >= spec.recycle_after_calls
        is_old = spec.recycle_after_s is not None and now - worker.since >= spec.recycle_after_s
        is_due = worker.is_worn or has_done or is_old or worker.is_above(spec.recycle_above_mb)
        if worker.phase is WorkerPhase.READY and is_due:
            worker.step(WorkerPhase.DRAINING, now)
            self._on_change(worker)
        if worker.phase is WorkerPhase.DRAINING and not worker.calls:
            self.stop(worker)

    def stop(self, worker: WorkerRecord) -> None:
        """Let an idle worker go."""
        if worker.phase in (WorkerPhase.STARTING, WorkerPhase.READY, WorkerPhase.DRAINING):
            worker.step(WorkerPhase.STOPPING, self._clock.monotonic())
            self._on_change(worker)
            self._kernels.stop(worker.id)

    def interrupt(self, worker: WorkerRecord) -> None:
        self._kernels.interrupt(worker.id)

    def kill(self, worker: WorkerRecord, error: LabError | None = None) -> None:
        """End the worker now; ``error`` is what its calls will fail with (None: ``WorkerLost``)."""
        if worker.phase in (WorkerPhase.STARTING, WorkerPhase.READY, WorkerPhase.DRAINING):
            worker.step(WorkerPhase.STOPPING, self._clock.monotonic())
        worker.stop_error = worker.stop_error or error
        self._on_change(worker)
        self._kernels.kill(worker.id)

    def bury(self, worker: WorkerRecord, status: int, reason: str = "") -> None:
        """The worker's process is gone; a pool whose workers do not even start backs off."""
        was, now = worker.phase, self._clock.monotonic()
        was_killed = worker.stop_error is not None
        worker.step(WorkerPhase.GONE, now)
        pool = self.pools[worker.pool]
        del self.workers[worker.id], pool.workers[worker.id]
        if worker.peer is None and (was is WorkerPhase.STARTING or was_killed):
            pool.start_failures += 1
            pool.may_start_at = now + min(_MAX_BACKOFF_S, 0.25 * 2**pool.start_failures)
            pool.trouble = reason or (
                worker.stop_error.message
                if worker.stop_error is not None
                else f"its workers end before they are ready (exit status {status})"
            )
            log.warning("Worker %s did not start: %s.", worker.id, pool.trouble)
        elif was in (WorkerPhase.READY, WorkerPhase.DRAINING) or was_killed:
            pool.counters.lost_workers += 1
            log.warning("Worker %s died (exit status %s).", worker.id, status)
        self._on_change(worker)

    def heard(self, worker: WorkerRecord, rss_bytes: int, cpu_s: float, *, is_worn: bool = False) -> None:
        """A heartbeat came."""
        worker.last_heard = self._clock.monotonic()
        worker.sample(rss_bytes, cpu_s, worker.last_heard)
        if is_worn:
            worker.is_worn = True
            self.recycle_if_due(worker)

    def has_gpu_workers(self) -> bool:
        """Whether a worker runs that may compute on a GPU here."""
        return any(pool.workers and self._kernels.has_gpu(pool.spec) for pool in self.pools.values())

    def statistics(self) -> dict[str, Any]:
        """Every pool and worker as plain data, for panels and ``%lab status``."""
        now, usage = self._clock.monotonic(), self.gpu_usage
        return {
            name: {
                **pool.statistics(now, usage.by_pid),
                "device": self._kernels.device(pool.spec),
                "gpu": usage.to_dict() if self._kernels.has_gpu(pool.spec) else None,
            }
            for name, pool in self.pools.items()
            if not pool.is_leaving
        }

    def __repr__(self) -> str:
        parts = (f"{name}: {len(pool.workers)}/{pool.spec.size}" for name, pool in self.pools.items())
        return f"<Workforce [{', '.join(parts)}]>"
