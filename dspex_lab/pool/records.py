"""What the host remembers of calls, workers, clients and pools. Plain records; ``broker`` alone changes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from dspex_lab.errors import LabError, WorkerLost
from dspex_lab.pool.assignment import Assignment, PoolSnapshot, WorkerSnapshot
from dspex_lab.pool.sessions import SessionRecord
from dspex_lab.pool.waiting import WaitingCalls
from dspex_lab.settings import PoolSpec
from dspex_lab.wire.framing import Frames
from dspex_lab.wire.messages import Submit

__all__ = [
    "CallPhase",
    "CallRecord",
    "PeerRecord",
    "PoolCounters",
    "PoolRecord",
    "WorkerPhase",
    "WorkerRecord",
    "why_it_ended",
    "why_it_failed",
]

#: A pool whose workers fail to start so often in a row fails its waiting calls and says why.
START_FAILURES_TOLERATED = 3
#: Over less time than this a share of a processor says nothing.
_SHORTEST_SAMPLE_S = 0.1


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
    #: The notebook at the root of it, in whose turn it waits.
    owner: bytes = b""
    size_bytes: int = 0
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
    #: Whose worker alone may run it.
    session: SessionRecord | None = None
    #: How many chunks its worker may still send before the reader gives credit back.
    credit_left: int = 0
    #: Its own place in its caller's trace; "" when it hangs in none.
    span_id: str = ""


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
    #: Those of its calls that only wait for something elsewhere.
    light: set[str] = field(default_factory=set)
    idle_since: float = 0.0
    last_heard: float = 0.0
    rss_bytes: int = 0
    cpu_s: float = 0.0
    #: Of one processor, over its last heartbeat; None before the second.
    cpu_percent: float | None = None
    sampled_at: float | None = None
    calls_done: int = 0
    #: It asked to be replaced.
    is_worn: bool = False
    #: Why the host ends it, when it does.
    stop_error: LabError | None = None
    #: Who has it for itself; such a worker is never given to anybody else.
    session: SessionRecord | None = None

    def step(self, phase: WorkerPhase, now: float) -> None:
        """Go to ``phase``; an illegal step raises."""
        if phase not in self.phase.allowed():
            raise RuntimeError(f"worker {self.id} cannot go from {self.phase.value} to {phase.value}")
        self.phase = phase
        self.since = now

    def begin(self, submit: Submit) -> None:
        """It has one call more."""
        self.calls.add(submit.id)
        if submit.light:
            self.light.add(submit.id)

    def finish(self, call_id: str, now: float) -> None:
        """It is done with the call, however that ended."""
        self.calls.discard(call_id)
        self.light.discard(call_id)
        self.calls_done += 1
        if not self.calls:
            self.idle_since = now

    def sample(self, rss_bytes: int, cpu_s: float, now: float) -> None:
        """Note what it says of itself at ``now``."""
        if self.sampled_at is not None and now - self.sampled_at >= _SHORTEST_SAMPLE_S:
            self.cpu_percent = max(0.0, 100.0 * (cpu_s - self.cpu_s) / (now - self.sampled_at))
        if self.sampled_at is None or now - self.sampled_at >= _SHORTEST_SAMPLE_S:
            self.sampled_at, self.cpu_s = now, cpu_s
        self.rss_bytes = rss_bytes

    def is_above(self, limit_mb: int | None) -> bool:
        """Whether it has more memory than that."""
        return limit_mb is not None and self.rss_bytes > limit_mb * 1024 * 1024

    def is_free(self) -> bool:
        """Whether it has nothing to do and can."""
        return self.phase is WorkerPhase.READY and not self.calls

    def state(self) -> str:
        """What it does, for people: its phase, and when it is ready whether it is busy or checked out."""
        if self.phase is WorkerPhase.READY and self.session is not None:
            return "in session"
        if self.phase is WorkerPhase.READY and self.calls:
            return "busy"
        return str(self.phase.value)


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
    """One pool: its spec, its waiting calls in order, its workers, its sessions, its counters."""

    spec: PoolSpec
    #: Its spec as it was first given, whatever was resized since.
    declared: PoolSpec = field(init=False)
    queue: WaitingCalls = field(default_factory=WaitingCalls)
    #: The light calls that wait, in a line of their own: no long call stands before them.
    light: WaitingCalls = field(default_factory=WaitingCalls)
    workers: dict[str, WorkerRecord] = field(default_factory=dict)
    sessions: dict[str, SessionRecord] = field(default_factory=dict)
    #: The sessions that wait for a worker; their owners take turns.
    checkouts: WaitingCalls = field(default_factory=WaitingCalls)
    counters: PoolCounters = field(default_factory=PoolCounters)
    #: What the arguments of its calls take in the host, those that run included: they may have to run again.
    held_bytes: int = 0
    #: A pool keeps no worker ready before its first call, or an order to start.
    is_awake: bool = False
    start_failures: int = 0
    may_start_at: float = 0.0
    trouble: str | None = None
    #: It was removed, and is forgotten with its last worker.
    is_leaving: bool = False

    def __post_init__(self) -> None:
        self.declared = self.spec

    def has_given_up(self) -> bool:
        """Whether so many starts failed in a row that waiting for the next makes no sense."""
        return self.start_failures >= START_FAILURES_TOLERATED

    def add_waiting(self, call: CallRecord) -> None:
        """Put the call at the end of its line: the pool's, or its session's."""
        submit, session = call.submit, call.session
        if session is None:
            self.line(call).add(submit.id, call.owner, priority=submit.priority)
            return
        session.line.add(submit.id, call.caller)
        if session.needs_worker() and session.id not in self.checkouts:
            self.checkouts.add(session.id, session.owner)

    def remove_waiting(self, call: CallRecord) -> None:
        """Take the call out of its line; a session that has none left waits for no worker."""
        session = call.session
        self.line(call).remove(call.submit.id)
        if session is not None and not session.line and session.id in self.checkouts:
            self.checkouts.remove(session.id)

    def line(self, call: CallRecord) -> WaitingCalls:
        """Where the call waits: in its session's line, or in one of the pool's."""
        if call.session is not None:
            return call.session.line
        return self.light if call.submit.light else self.queue

    def check_out(self, worker: WorkerRecord) -> None:
        """Give the worker to the session that is next, for good."""
        session = self.sessions[self.checkouts.take()]
        worker.session, session.worker_id = session, worker.id

    def next_of_sessions(self) -> list[tuple[str, WorkerRecord]]:
        """The next call of every session whose worker has nothing to do, taken out of its line."""
        return [
            (session.line.take(), self.workers[session.worker_id])
            for session in self.sessions.values()
            if session.worker_id is not None and session.line and self.workers[session.worker_id].is_free()
        ]

    def next_calls(self, assignment: Assignment) -> Iterator[tuple[str, WorkerRecord]]:
        """The calls that are assigned, each taken out of its line, with its worker."""
        for line, places in ((self.queue, assignment.places), (self.light, assignment.light_places)):
            for worker_id in places:
                yield line.take(), self.workers[worker_id]

    def take_all_waiting(self) -> tuple[str, ...]:
        """Every call that waits for a worker to be ready, taken out of its line."""
        lines = [self.queue, self.light, *(self.sessions[session_id].line for session_id in self.checkouts.take_all())]
        return tuple(call_id for line in lines for call_id in line.take_all())

    def drop_session(self, session: SessionRecord) -> None:
        """The session ended: it waits for no worker, and its own is nobody's."""
        del self.sessions[session.id]
        if session.id in self.checkouts:
            self.checkouts.remove(session.id)

    def has_waiting(self) -> bool:
        """Whether a call or a session waits for a worker, or to be the next one of its session."""
        return bool(self.queue or self.light or self.sessions)

    def is_full(self) -> bool:
        """Whether no further worker may be started."""
        return len(self.workers) >= self.spec.size

    def waiting_in_line(self, submit: Submit, session: SessionRecord | None) -> int:
        """How many calls wait in the line that this one would join."""
        if session is not None:
            return len(session.line)
        return len(self.light if submit.light else self.queue)

    def snapshot(self, now: float) -> PoolSnapshot:
        """The pool as the pure decision sees it."""
        workers = tuple(
            WorkerSnapshot(
                worker.id,
                worker.phase is WorkerPhase.READY,
                len(worker.calls) - len(worker.light),
                0.0 if worker.calls else now - worker.idle_since,
                len(worker.light),
            )
            for worker in self.workers.values()
            if worker.session is None and worker.phase in (WorkerPhase.STARTING, WorkerPhase.READY)
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
            held=sum(one.worker_id is not None for one in self.sessions.values()) if self.sessions else 0,
            sessions=len(self.checkouts) if self.sessions else 0,
            light_concurrency=self.spec.light_concurrency,
            queued_light=len(self.light),
        )

    def statistics(self, now: float, gpu_bytes: Mapping[int, int] | None = None) -> dict[str, Any]:
        """The pool as plain data: its spec, queue (the lines of sessions included), counters, trouble, sessions and
        workers. ``gpu_bytes`` is the device memory by process."""
        sessions = self.sessions.values()
        shares = [worker.cpu_percent for worker in self.workers.values() if worker.cpu_percent is not None]
        return {
            "spec": self.spec.model_dump(exclude={"env"}),  # may hold keys, and every client may ask
            "queued": len(self.queue) + len(self.light) + sum(len(session.line) for session in sessions),
            "counters": asdict(self.counters),
            "trouble": self.trouble,
            "cpu_percent": sum(shares) if shares else None,
            "sessions": [session.statistics(now) for session in sessions],
            "workers": [
                {
                    "id": worker.id,
                    "pid": worker.pid,
                    "state": worker.state(),
                    "since_s": now - worker.since,
                    "in_flight": len(worker.calls),
                    "calls_done": worker.calls_done,
                    "rss_bytes": worker.rss_bytes,
                    "cpu_s": worker.cpu_s,
                    "cpu_percent": worker.cpu_percent,
                    "gpu_memory_bytes": (gpu_bytes or {}).get(worker.pid or 0),
                }
                for worker in self.workers.values()
            ],
        }


def why_it_ended(worker: WorkerRecord, calls: list[CallRecord], status: int) -> str:
    """Why the session of ``worker`` ends with it, in words that follow a colon."""
    if worker.stop_error is not None:
        return f"its worker was ended. {worker.stop_error.message}".rstrip(".")
    if any(call.phase is CallPhase.STOPPING for call in calls):
        return f"its worker {worker.id} was ended, for a call on it would not stop"
    return f"its worker {worker.id} died (exit status {status})"


def why_it_failed(worker: WorkerRecord, call: CallRecord, status: int) -> LabError:
    """What a call ends with that ``worker`` had when it died."""
    return worker.stop_error or WorkerLost(
        f"The worker {worker.id} died while it ran {call.submit.op} (exit status {status}).",
        hint="%lab logs shows its last words; a call marked idempotent would have run again elsewhere.",
    )
