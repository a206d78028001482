"""What the host remembers of calls, workers, clients and pools. Plain records; ``broker`` alone changes them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from dspex_lab.errors import LabError
from dspex_lab.pool.assignment import PoolSnapshot, WorkerSnapshot
from dspex_lab.pool.waiting import WaitingCalls
from dspex_lab.settings import PoolSpec
from dspex_lab.wire.framing import Frames
from dspex_lab.wire.messages import Submit

__all__ = ["CallPhase", "CallRecord", "PeerRecord", "PoolCounters", "PoolRecord", "WorkerPhase", "WorkerRecord"]

#: A pool whose workers fail to start so often in a row fails its waiting calls and says why.
START_FAILURES_TOLERATED = 3


class WorkerPhase(Enum):
    """A worker's life; ``allowed`` is the whole table of legal steps."""

    STARTING = "starting"
    READY = "ready"
    #: It finishes the calls that it has and takes no more: it is to be replaced.
    DRAINING = "draining"
    STOPPING = "stopping"
    GONE = "gone"

    def allowed(self) -> frozenset[WorkerPhase]:
        return _WORKER_STEPS[self]


_WORKER_STEPS = {
    WorkerPhase.STARTING: frozenset({WorkerPhase.READY, WorkerPhase.STOPPING, WorkerPhase.GONE}),
    WorkerPhase.READY: frozenset({WorkerPhase.DRAINING, WorkerPhase.STOPPING, WorkerPhase.GONE}),
    WorkerPhase.DRAINING: frozenset({WorkerPhase.STOPPING, WorkerPhase.GONE}),
    WorkerPhase.STOPPING: frozenset({WorkerPhase.GONE}),
    WorkerPhase.GONE: frozenset[WorkerPhase](),
}


class CallPhase(Enum):
    """Where a call is: waiting, with a worker, or being stopped there."""

    QUEUED = "queued"
    RUNNING = "running"
    STOPPING = "stopping"


@dataclass(slots=True)
class CallRecord:
    """One call under way. Times are the host's monotonic seconds."""

    submit: Submit
    payload: Frames
    caller: bytes
    submitted_at: float
    #: When nobody waits for the answer any more; None: no limit.
    deadline: float | None
    phase: CallPhase = CallPhase.QUEUED
    worker_id: str | None = None
    started_at: float = 0.0
    interruptible: str | None = None
    #: Why it is being stopped, and when its worker is killed if it has not stopped.
    stop_error: LabError | None = None
    kill_at: float | None = None
    #: The caller was told the end; only the worker has yet to stop.
    is_answered: bool = False
    #: How often it was handed to a worker.
    attempts: int = 0
    #: The caller took no chunk yet, so the call may run again from its beginning.
    is_untouched: bool = True


@dataclass(slots=True)
class WorkerRecord:
    """One worker. ``peer`` is its ZMQ identity once it said hello."""

    id: str
    pool: str
    phase: WorkerPhase
    since: float
    peer: bytes | None = None
    pid: int | None = None
    calls: set[str] = field(default_factory=set)
    idle_since: float = 0.0
    last_heard: float = 0.0
    rss_bytes: int = 0
    cpu_s: float = 0.0
    calls_done: int = 0
    #: Why the host ends it, when it does.
    stop_error: LabError | None = None

    def step(self, phase: WorkerPhase, now: float) -> None:
        """Go to ``phase``; an illegal step raises."""
        if phase not in self.phase.allowed():
            raise RuntimeError(f"worker {self.id} cannot go from {self.phase.value} to {phase.value}")
        self.phase = phase
        self.since = now


@dataclass(slots=True)
class PeerRecord:
    """Who said hello: a client (a notebook), an observer (a panel, which keeps no host alive), or a worker.

    ``calls`` are those that it made and waits for.
    """

    name: str
    pid: int
    role: str = "client"
    worker: WorkerRecord | None = None
    calls: set[str] = field(default_factory=set)


@dataclass(slots=True)
class PoolCounters:
    """What a pool did since the host began. ``submitted = succeeded + failed + cancelled + still under way``."""

    submitted: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    started_workers: int = 0
    lost_workers: int = 0


@dataclass(slots=True)
class PoolRecord:
    """One pool: its spec, its waiting calls in order, its workers, its counters."""

    spec: PoolSpec
    queue: WaitingCalls = field(default_factory=WaitingCalls)
    workers: dict[str, WorkerRecord] = field(default_factory=dict)
    counters: PoolCounters = field(default_factory=PoolCounters)
    #: A pool keeps no worker ready before its first call, or an order to start.
    is_awake: bool = False
    start_failures: int = 0
    may_start_at: float = 0.0
    trouble: str | None = None

    def has_given_up(self) -> bool:
        """Whether so many starts failed in a row that waiting for the next makes no sense."""
        return self.start_failures >= START_FAILURES_TOLERATED

    def snapshot(self, now: float) -> PoolSnapshot:
        """The pool as the pure decision sees it."""
        workers = tuple(
            WorkerSnapshot(
                worker.id,
                worker.phase is WorkerPhase.READY,
                len(worker.calls),
                0.0 if worker.calls else now - worker.idle_since,
            )
            for worker in self.workers.values()
            if worker.phase in (WorkerPhase.STARTING, WorkerPhase.READY)
        )
        return PoolSnapshot(
            size=self.spec.size,
            min_ready=self.spec.min_ready if self.is_awake else 0,
            concurrency=self.spec.concurrency,
            queued=len(self.queue),
            workers=workers,
            idle_retire_s=self.spec.idle_retire_s,
            may_start=now >= self.may_start_at,
            leaving=sum(worker.phase is WorkerPhase.DRAINING for worker in self.workers.values()),
        )

    def statistics(self, now: float) -> dict[str, Any]:
        """The pool as plain data: its spec, queue, counters, trouble and workers."""
        return {
            "spec": self.spec.model_dump(),
            "queued": len(self.queue),
            "counters": asdict(self.counters),
            "trouble": self.trouble,
            "workers": [
                {
                    "id": worker.id,
                    "pid": worker.pid,
                    "state": "busy" if worker.calls and worker.phase is WorkerPhase.READY else worker.phase.value,
                    "since_s": now - worker.since,
                    "in_flight": len(worker.calls),
                    "calls_done": worker.calls_done,
                    "rss_bytes": worker.rss_bytes,
                    "cpu_s": worker.cpu_s,
                }
                for worker in self.workers.values()
            ],
        }
