"""The pure decision: which call goes where, who starts, who retires."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.pool.assignment import Assignment, PoolSnapshot, WorkerSnapshot, assign


def ready(name: str, in_flight: int = 0, idle_s: float = 0.0) -> WorkerSnapshot:
    return WorkerSnapshot(name, is_ready=True, in_flight=in_flight, idle_s=idle_s)


def starting(name: str) -> WorkerSnapshot:
    return WorkerSnapshot(name, is_ready=False)


def pool(
    queued: int,
    *workers: WorkerSnapshot,
    size: int = 4,
    min_ready: int = 0,
    concurrency: int = 1,
    idle_retire_s: float = 300.0,
    may_start: bool = True,
    held: int = 0,
    sessions: int = 0,
) -> PoolSnapshot:
    return PoolSnapshot(
        size, min_ready, concurrency, queued, workers, idle_retire_s, may_start, held=held, sessions=sessions
    )


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        pytest.param(pool(0), Assignment(), id="nothing to do"),
        pytest.param(pool(1), Assignment(start=1), id="a first worker for a first call"),
        pytest.param(pool(9), Assignment(start=4), id="no more workers than the size"),
        pytest.param(pool(3, concurrency=8), Assignment(start=1), id="one worker takes several"),
        pytest.param(pool(9, concurrency=8), Assignment(start=2), id="a second for what is over"),
        pytest.param(pool(2, starting("a")), Assignment(start=1), id="who starts is counted on"),
        pytest.param(pool(1, starting("a")), Assignment(), id="and not started twice"),
        pytest.param(pool(0, min_ready=2), Assignment(start=2), id="the floor is filled"),
        pytest.param(pool(0, starting("a"), min_ready=2), Assignment(start=1), id="the floor counts who starts"),
        pytest.param(pool(5, min_ready=2, may_start=False), Assignment(), id="a pool that backs off starts nobody"),
        pytest.param(pool(1, ready("a"), ready("b")), Assignment(("a",)), id="the older of two that are as busy"),
        pytest.param(
            pool(3, ready("a", 2), ready("b"), concurrency=3), Assignment(("b", "b", "a")), id="the least busy first"
        ),
        pytest.param(pool(2, ready("a", 1), starting("b")), Assignment(start=1), id="busy and starting take nothing"),
        pytest.param(pool(0, ready("a", 0, 301)), Assignment(retire=("a",)), id="who idles too long goes"),
        pytest.param(pool(0, ready("a", 0, 301), min_ready=1), Assignment(), id="but not below the floor"),
        pytest.param(
            pool(0, ready("a", 0, 301), ready("b", 0, 400), min_ready=1),
            Assignment(retire=("b",)),
            id="the longest idle goes first",
        ),
        pytest.param(pool(1, ready("a", 0, 301)), Assignment(("a",)), id="who is given a call does not retire"),
        pytest.param(
            pool(1, ready("a", 0, 301), ready("b", 0, 400)),
            Assignment(("a",), retire=("b",)),
            id="the others do all the same",
        ),
        pytest.param(
            pool(0, ready("a"), ready("b"), ready("c", 1), size=1),
            Assignment(retire=("b",)),
            id="after a resize whoever is too many and idle goes",
        ),
        pytest.param(
            pool(5, ready("a"), ready("b"), size=1),
            Assignment(("a",), retire=("b",)),
            id="even while calls wait",
        ),
        pytest.param(pool(0, sessions=1), Assignment(start=1), id="a worker for a session"),
        pytest.param(pool(0, sessions=9), Assignment(start=4), id="no more than the size for sessions"),
        pytest.param(pool(0, starting("a"), sessions=1), Assignment(), id="who starts is counted on for a session"),
        pytest.param(pool(1, sessions=1), Assignment(start=2), id="a worker for each, the session and the call"),
        pytest.param(pool(0, ready("a"), sessions=1), Assignment(checkouts=("a",)), id="an idle worker is checked out"),
        pytest.param(
            pool(1, ready("a"), ready("b"), sessions=1), Assignment(("b",), checkouts=("a",)), id="sessions go first"
        ),
        pytest.param(
            pool(0, ready("a", 0, 301), sessions=1),
            Assignment(checkouts=("a",)),
            id="who is checked out does not retire",
        ),
        pytest.param(
            pool(0, ready("a"), sessions=1, min_ready=1),
            Assignment(start=1, checkouts=("a",)),
            id="the floor is refilled",
        ),
        pytest.param(pool(9, held=3), Assignment(start=1), id="held workers take up their places"),
        pytest.param(pool(9, held=4), Assignment(), id="all of them, if need be"),
        pytest.param(pool(1, ready("a"), size=1, held=1), Assignment(retire=("a",)), id="and those of a smaller pool"),
        pytest.param(
            pool(3, ready("a", 2), ready("b", 1), size=2, concurrency=3, sessions=1),
            Assignment(("a",)),
            id="the least busy is kept free for a session",
        ),
        pytest.param(
            pool(3, ready("a", 2), ready("b", 1), size=3, concurrency=3, sessions=1),
            Assignment(("b", "a", "b"), start=1),
            id="but not when another can be started",
        ),
    ],
)
def test_decisions(snapshot: PoolSnapshot, expected: Assignment) -> None:
    """Each situation has its one decision."""
    assert assign(snapshot) == expected


@st.composite
def snapshots(draw: st.DrawFn) -> PoolSnapshot:
    size = draw(st.integers(1, 6))
    concurrency = draw(st.integers(1, 4))
    workers = []
    for number in range(draw(st.integers(0, 8))):
        is_ready = draw(st.booleans())
        in_flight = draw(st.integers(0, concurrency)) if is_ready else 0
        idle_s = 0.0 if in_flight else draw(st.sampled_from([0.0, 5.0, 10.0, 20.0]))
        workers.append(WorkerSnapshot(f"w{number}", is_ready, in_flight, idle_s))
    return PoolSnapshot(
        size=size,
        min_ready=draw(st.integers(0, size)),
        concurrency=concurrency,
        queued=draw(st.integers(0, 12)),
        workers=tuple(workers),
        idle_retire_s=10.0,
        may_start=draw(st.booleans()),
        held=draw(st.integers(0, size)),
        sessions=draw(st.integers(0, 3)),
    )


@given(snapshots())
def test_never_more_workers_than_the_size(snapshot: PoolSnapshot) -> None:
    """Starting keeps within the size, and a pool that backs off starts nobody."""
    start = assign(snapshot).start
    at_work = len(snapshot.workers) + snapshot.held
    assert start == 0 or (snapshot.may_start and at_work + start <= snapshot.size)


@given(snapshots())
def test_never_more_calls_than_the_concurrency(snapshot: PoolSnapshot) -> None:
    """No worker is given more than it may have, and none that is not ready is given any."""
    workers = {worker.id: worker for worker in snapshot.workers}
    for name, count in Counter(assign(snapshot).places).items():
        assert workers[name].is_ready
        assert workers[name].in_flight + count <= snapshot.concurrency


@given(snapshots())
def test_no_call_waits_beside_a_free_worker(snapshot: PoolSnapshot) -> None:
    """Within the size, every free place is used while calls wait, unless its worker is kept for a session."""
    assignment = assign(snapshot)
    serving = snapshot.workers[: max(0, snapshot.size - snapshot.held)]
    free = [
        snapshot.concurrency - worker.in_flight
        for worker in serving
        if worker.is_ready and worker.id not in assignment.checkouts
    ]
    kept = snapshot.sessions - len(assignment.checkouts)
    assert len(assignment.places) >= min(snapshot.queued, sum(sorted(free)[: max(0, len(free) - kept)]))


@given(snapshots())
def test_sessions_take_idle_workers(snapshot: PoolSnapshot) -> None:
    """As many as there are within the size, each once, and none that is given calls or let go."""
    assignment = assign(snapshot)
    serving = snapshot.workers[: max(0, snapshot.size - snapshot.held)]
    idle = [worker.id for worker in serving if worker.is_ready and not worker.in_flight]
    assert set(assignment.checkouts) <= set(idle)
    assert len(set(assignment.checkouts)) == len(assignment.checkouts) == min(snapshot.sessions, len(idle))
    assert not set(assignment.checkouts) & {*assignment.places, *assignment.retire}


@given(snapshots())
def test_only_idle_workers_retire(snapshot: PoolSnapshot) -> None:
    """Nobody retires who has, or is just given, a call, or who starts."""
    assignment = assign(snapshot)
    workers = {worker.id: worker for worker in snapshot.workers}
    for name in assignment.retire:
        assert workers[name].is_ready
        assert workers[name].in_flight == 0
        assert name not in assignment.places


@given(snapshots())
def test_the_floor_holds(snapshot: PoolSnapshot) -> None:
    """Retiring never takes a pool below min_ready, and starting brings it there when it may."""
    assignment = assign(snapshot)
    floor = min(snapshot.min_ready, max(0, snapshot.size - snapshot.held - len(assignment.checkouts)))
    left = len(snapshot.workers) - len(assignment.checkouts) - len(assignment.retire)
    assert not assignment.retire or left >= floor
    if snapshot.may_start:
        assert left + len(assignment.retire) + assignment.start >= floor
