"""Which waiting call goes to which worker, and how many workers to start or retire: a pure decision.

A session that waits needs a worker of its own. It goes before the calls that wait, for it could wait for ever
otherwise: where a worker takes many calls at once, there is always one more that fits. While no worker idles and none
can be started, the least busy one takes no more calls, and is checked out when it has finished those that it has.

Light calls only wait for something elsewhere: they have a line and a limit of their own, so that neither kind keeps the
other waiting.

No I/O and no clock; ``broker`` takes the snapshot, asks :func:`assign` and acts.
"""

from __future__ import annotations

import msgspec

__all__ = ["Assignment", "PoolSnapshot", "WorkerSnapshot", "assign"]


class WorkerSnapshot(msgspec.Struct, frozen=True):
    """A worker as the decision sees it: the calls that it has, and beside them the light ones. ``idle_s`` is 0 while it
    has any."""

    id: str
    is_ready: bool
    in_flight: int = 0
    idle_s: float = 0.0
    light: int = 0

    @property
    def is_idle(self) -> bool:
        return self.is_ready and not self.in_flight and not self.light


class PoolSnapshot(msgspec.Struct, frozen=True):
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
    light_concurrency: int = 1
    queued_light: int = 0


class Assignment(msgspec.Struct, frozen=True):
    """``places[i]`` is the worker for the i-th waiting call, ``light_places[i]`` that for the i-th light one,
    ``checkouts[i]`` that for the i-th waiting session; then how many to start and which to retire."""

    places: tuple[str, ...] = ()
    start: int = 0
    retire: tuple[str, ...] = ()
    checkouts: tuple[str, ...] = ()
    light_places: tuple[str, ...] = ()


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
    ready = [worker for worker in serving if worker.is_ready]
    starting = sum(not worker.is_ready for worker in pool.workers)
    room = max(0, size - len(pool.workers) - pool.leaving) if pool.may_start else 0
    taking = _without_least_busy(ready, sessions - starting - room)
    places = _places([(one.in_flight, one.id) for one in taking], pool.concurrency, pool.queued)
    light = _places([(one.light, one.id) for one in taking], pool.light_concurrency, pool.queued_light)
    waiting, waiting_light = pool.queued - len(places), pool.queued_light - len(light)
    workers = max(-(-waiting // pool.concurrency), -(-waiting_light // pool.light_concurrency))
    missing = sessions + workers - starting
    floor = pool.min_ready - (len(pool.workers) - len(checkouts))
    start = min(max(missing, floor, 0), room)
    retired = _retired(pool, serving, {*places, *light}, is_waiting=waiting + waiting_light + sessions > 0)
    return Assignment(places, start, (*_surplus(pool, size), *retired), checkouts, light)


def _checkouts(pool: PoolSnapshot, serving: tuple[WorkerSnapshot, ...]) -> tuple[str, ...]:
    if not pool.sessions:
        return ()
    return tuple(worker.id for worker in serving if worker.is_idle)[: pool.sessions]


def _without_least_busy(ready: list[WorkerSnapshot], count: int) -> list[WorkerSnapshot]:
    """The workers but ``count``, which are kept for sessions; of two that are as busy the older."""
    if count <= 0:
        return ready
    return sorted(ready, key=lambda worker: worker.in_flight + worker.light)[count:]


def _places(loads: list[tuple[int, str]], limit: int, queued: int) -> tuple[str, ...]:
    """The least loaded ones first; ``loads`` has what each worker has, the oldest first."""
    if not queued:
        return ()
    free = [
        (place, order, worker_id)
        for order, (load, worker_id) in enumerate(loads)
        for place in range(load, min(limit, load + queued))
    ]
    return tuple(worker_id for _, _, worker_id in sorted(free)[:queued])


def _surplus(pool: PoolSnapshot, size: int) -> tuple[str, ...]:
    """Who idles and is too many."""
    return tuple(worker.id for worker in pool.workers[size:] if worker.is_idle)


def _retired(
    pool: PoolSnapshot, serving: tuple[WorkerSnapshot, ...], given_calls: set[str], *, is_waiting: bool
) -> tuple[str, ...]:
    """While nobody waits, the longest idle above ``min_ready``."""
    spare = len(serving) - pool.min_ready
    if is_waiting or spare <= 0:
        return ()
    overdue = [
        worker
        for worker in serving
        if worker.is_idle and worker.id not in given_calls and worker.idle_s >= pool.idle_retire_s
    ]
    overdue.sort(key=lambda worker: -worker.idle_s)
    return tuple(worker.id for worker in overdue[:spare])
