"""Which waiting call goes to which worker, and how many workers to start or retire: a pure decision.

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
    """A pool as the decision sees it. ``workers`` holds those that start or serve, not those that stop;
    ``may_start`` is False while a crash-looping pool backs off."""

    size: int
    min_ready: int
    concurrency: int
    queued: int
    workers: tuple[WorkerSnapshot, ...]
    idle_retire_s: float = float("inf")
    may_start: bool = True
    #: Workers that finish their calls before they are replaced; they still take up their places.
    leaving: int = 0


@dataclass(frozen=True, slots=True)
class Assignment:
    """``places[i]`` is the worker for the i-th waiting call; then how many to start and which to retire."""

    places: tuple[str, ...] = ()
    start: int = 0
    retire: tuple[str, ...] = ()


def assign(pool: PoolSnapshot) -> Assignment:
    """Fill the least busy ready workers first; start what the rest needs, up to ``size``; retire what idles.

    After a pool was made smaller the oldest workers serve, and the others are let go as soon as they idle.
    """
    places = _places(pool)
    waiting = pool.queued - len(places)
    starting = sum(not worker.is_ready for worker in pool.workers)
    missing = -(-waiting // pool.concurrency) - starting
    floor = pool.min_ready - len(pool.workers)
    start = max(missing, floor, 0) if pool.may_start else 0
    room = max(0, pool.size - len(pool.workers) - pool.leaving)
    return Assignment(places, min(start, room), _retired(pool, set(places), waiting))


def _places(pool: PoolSnapshot) -> tuple[str, ...]:
    if not pool.queued:
        return ()
    free = [
        (in_flight, order, worker.id)
        for order, worker in enumerate(pool.workers[: pool.size])
        if worker.is_ready
        for in_flight in range(worker.in_flight, pool.concurrency)
    ]
    return tuple(worker_id for _, _, worker_id in sorted(free)[: pool.queued])


def _retired(pool: PoolSnapshot, given_calls: set[str], waiting: int) -> tuple[str, ...]:
    """Whoever is too many, and, while no call waits, the longest idle above ``min_ready``."""
    surplus = [worker.id for worker in pool.workers[pool.size :] if worker.is_ready and not worker.in_flight]
    if waiting > 0:
        return tuple(surplus)
    serving = pool.workers[: pool.size]
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
    return (*surplus, *(worker.id for worker in overdue[:spare]))
