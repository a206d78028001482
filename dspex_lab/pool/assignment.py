"""Which waiting call goes to which worker, and how many workers to start or retire: a pure decision.

A session that waits needs a worker of its own. It goes before the calls that wait, for it could wait for ever
otherwise: where a worker takes many calls at once, there is always one more that fits. While no worker idles and none
can be started, the least busy one takes no more calls, and is checked out when it has finished those that it has.

No I/O and no clock; ``broker`` takes the snapshot, asks :func:`assign` and acts.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Assignment", "PoolSnapshot", "WorkerSnapshot", "assign"]


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """A worker as the decision sees it. ``idle_s`` is 0 while it has calls."""

    id: str
    is_ready: bool
    in_flight: int = 0
    idle_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """A pool as the decision sees it. ``workers`` holds those that start or serve, not those that stop or that a
    session has; ``may_start`` is False while a crash-looping pool backs off."""

    size: int
    min_ready: int
    concurrency: int
    queued: int
    workers: tuple[WorkerSnapshot, ...]
    idle_retire_s: float = float("inf")
    may_start: bool = True
    #: Workers that finish their calls before they are replaced; they still take up their places.
    leaving: int = 0
    #: Workers that sessions have; they take up their places, and no calls but their session's.
    held: int = 0
    #: Sessions with a call and no worker.
    sessions: int = 0


@dataclass(frozen=True, slots=True)
class Assignment:
    """``places[i]`` is the worker for the i-th waiting call, ``checkouts[i]`` that for the i-th waiting session; then
    how many to start and which to retire."""

    places: tuple[str, ...] = ()
    start: int = 0
    retire: tuple[str, ...] = ()
    checkouts: tuple[str, ...] = ()


def assign(pool: PoolSnapshot) -> Assignment:
    """Check idle workers out to sessions, fill the least busy ready ones with calls, start what the rest needs, up to
    ``size``, and retire what idles.

    After a pool was made smaller the oldest workers serve, and the others are let go as soon as they idle.
    """
    size = max(0, pool.size - pool.held)
    serving = pool.workers[:size]
    checkouts = _checkouts(pool, serving)
    if checkouts:
        serving = tuple(worker for worker in serving if worker.id not in checkouts)
    sessions = pool.sessions - len(checkouts)
    starting = sum(not worker.is_ready for worker in pool.workers)
    room = max(0, size - len(pool.workers) - pool.leaving) if pool.may_start else 0
    places = _places(pool, _without_least_busy(serving, sessions - starting - room))
    waiting = pool.queued - len(places)
    missing = sessions - (-waiting // pool.concurrency) - starting
    floor = pool.min_ready - (len(pool.workers) - len(checkouts))
    start = min(max(missing, floor, 0), room)
    retired = _retired(pool, serving, set(places), is_waiting=waiting + sessions > 0)
    return Assignment(places, start, (*_surplus(pool, size), *retired), checkouts)


def _checkouts(pool: PoolSnapshot, serving: tuple[WorkerSnapshot, ...]) -> tuple[str, ...]:
    if not pool.sessions:
        return ()
    return tuple(worker.id for worker in serving if worker.is_ready and not worker.in_flight)[: pool.sessions]


def _without_least_busy(workers: tuple[WorkerSnapshot, ...], count: int) -> tuple[WorkerSnapshot, ...]:
    """``workers`` but ``count`` ready ones, which are kept for sessions; of two that are as busy the older."""
    if count <= 0:
        return workers
    ready = sorted((worker for worker in workers if worker.is_ready), key=lambda worker: worker.in_flight)
    return tuple(ready[count:])


def _places(pool: PoolSnapshot, workers: tuple[WorkerSnapshot, ...]) -> tuple[str, ...]:
    if not pool.queued:
        return ()
    free = [
        (in_flight, order, worker.id)
        for order, worker in enumerate(workers)
        if worker.is_ready
        for in_flight in range(worker.in_flight, pool.concurrency)
    ]
    return tuple(worker_id for _, _, worker_id in sorted(free)[: pool.queued])


def _surplus(pool: PoolSnapshot, size: int) -> tuple[str, ...]:
    """Who idles and is too many."""
    return tuple(worker.id for worker in pool.workers[size:] if worker.is_ready and not worker.in_flight)


def _retired(
    pool: PoolSnapshot, serving: tuple[WorkerSnapshot, ...], given_calls: set[str], *, is_waiting: bool
) -> tuple[str, ...]:
    """While nobody waits, the longest idle above ``min_ready``."""
    if is_waiting:
        return ()
    overdue = [
        worker
        for worker in serving
        if worker.is_ready
        and not worker.in_flight
        and worker.id not in given_calls
        and worker.idle_s >= pool.idle_retire_s
    ]
    overdue.sort(key=lambda worker: -worker.idle_s)
    spare = max(0, len(serving) - pool.min_ready)
    return tuple(worker.id for worker in overdue[:spare])
