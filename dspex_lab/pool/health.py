"""What time alone decides: calls past their deadline, sessions that nobody uses, workers that are silent, too large, or
slow to stop.

:func:`examine` is pure, a snapshot to verdicts; :func:`enforce` carries them out. The host calls it several times a
second.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dspex_lab.errors import DeadlineExceeded, LabError, WorkerLost, WorkerMemoryExceeded
from dspex_lab.pool.broker import Broker
from dspex_lab.pool.records import CallPhase, CallRecord, PoolRecord, WorkerPhase, WorkerRecord

__all__ = ["HealthLimits", "Verdict", "enforce", "examine", "excuse"]

_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """How long a worker may take to say hello, and how long it may be silent; seconds."""

    worker_start_timeout_s: float
    worker_silence_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done about one call, session or worker, and the error that says why."""

    subject: str
    action: str  # "expire" a call, "close" a session of ``pool``, "kill" or "recycle" a worker
    error: LabError | None = None
    pool: str = ""


def examine(
    calls: Iterable[CallRecord], pools: Iterable[PoolRecord], now: float, limits: HealthLimits
) -> tuple[Verdict, ...]:
    """Everything that is overdue at ``now`` (monotonic seconds)."""
    pools = tuple(pools)
    op_timeouts = {pool.spec.name: pool.spec.op_timeout_s for pool in pools}
    verdicts = [verdict for call in calls if (verdict := _examine_call(call, now, op_timeouts))]
    for pool in pools:
        verdicts += [
            Verdict(session.id, "close", pool=pool.spec.name)
            for session in pool.sessions.values()
            if session.has_expired(now)
        ]
        verdicts += [
            verdict for worker in pool.workers.values() if (verdict := _examine_worker(worker, pool, now, limits))
        ]
    return tuple(verdicts)


def _examine_call(call: CallRecord, now: float, op_timeouts: dict[str, float]) -> Verdict | None:
    submit = call.submit
    if call.phase is CallPhase.STOPPING:
        is_late = call.kill_at is not None and now >= call.kill_at and call.worker_id is not None
        return Verdict(call.worker_id or "", "kill") if is_late else None
    if call.deadline is not None and now >= call.deadline:
        where = "waiting for a worker" if call.phase is CallPhase.QUEUED else "running"
        return Verdict(
            submit.id,
            "expire",
            DeadlineExceeded(
                f"{submit.op} was still {where} when its {submit.timeout_s:g} s were over.",
                hint="Give it a longer timeout_s, or look at the pool's load with %lab status.",
            ),
        )
    limit = op_timeouts[submit.pool]
    if call.phase is CallPhase.RUNNING and now - call.started_at >= limit:
        return Verdict(
            submit.id,
            "expire",
            DeadlineExceeded(
                f"{submit.op} ran longer than the {limit:g} s that the pool {submit.pool!r} allows.",
                hint="Raise the pool's op_timeout_s.",
            ),
        )
    return None


def _examine_worker(worker: WorkerRecord, pool: PoolRecord, now: float, limits: HealthLimits) -> Verdict | None:
    if worker.phase is WorkerPhase.STARTING and now - worker.since >= limits.worker_start_timeout_s:
        return Verdict(
            worker.id,
            "kill",
            WorkerLost(f"The worker {worker.id} did not say hello within {limits.worker_start_timeout_s:g} s."),
        )
    if worker.phase not in (WorkerPhase.READY, WorkerPhase.DRAINING):
        return None
    if now - worker.last_heard >= limits.worker_silence_s:
        return Verdict(
            worker.id,
            "kill",
            WorkerLost(f"The worker {worker.id} was silent for {limits.worker_silence_s:g} s and was ended."),
        )
    if worker.is_above(pool.spec.max_memory_mb):
        return Verdict(
            worker.id,
            "kill",
            WorkerMemoryExceeded(
                f"The worker {worker.id} used {worker.rss_bytes // _MB} MB; its pool allows {pool.spec.max_memory_mb}.",
                hint="Raise the pool's max_memory_mb, or send less data at once.",
            ),
        )
    age_s = pool.spec.recycle_after_s
    is_old = age_s is not None and now - worker.since >= age_s
    if worker.phase is WorkerPhase.READY and (is_old or worker.is_above(pool.spec.recycle_above_mb)):
        return Verdict(worker.id, "recycle")
    return None


def excuse(pools: Iterable[PoolRecord], away_s: float) -> None:
    """The host itself was away (stopped, or on a machine that slept): it heard nobody because it did not listen."""
    for pool in pools:
        for worker in pool.workers.values():
            worker.last_heard += away_s
            if worker.phase is WorkerPhase.STARTING:
                worker.since += away_s


def enforce(broker: Broker, verdicts: Iterable[Verdict]) -> None:
    """Carry the verdicts out."""
    for verdict in verdicts:
        if verdict.action == "expire" and verdict.error is not None:
            if call := broker.calls.get(verdict.subject):
                broker.answer_early(call, verdict.error)
        elif verdict.action == "close":
            if session := broker.workforce.pools[verdict.pool].sessions.get(verdict.subject):
                broker.end_session(session, session.expiry_reason())
        elif worker := broker.workforce.workers.get(verdict.subject):
            if verdict.action == "recycle":
                broker.workforce.recycle_if_due(worker)
            else:
                broker.workforce.kill(worker, verdict.error)
