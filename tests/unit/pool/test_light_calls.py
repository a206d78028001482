"""Light calls, which only wait for something elsewhere: many to a worker, beside its other calls."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.errors import PoolSaturated, error_from_dict
from dspex_lab.pool.assignment import Assignment, PoolSnapshot, WorkerSnapshot, assign
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.host import FakeHost
from dspex_lab.wire.messages import Done, Failed, Submit


def worker(name: str, in_flight: int = 0, light: int = 0, idle_s: float = 0.0) -> WorkerSnapshot:
    return WorkerSnapshot(name, is_ready=True, in_flight=in_flight, idle_s=idle_s, light=light)


def pool(
    queued: int, light: int, *workers: WorkerSnapshot, size: int = 4, each: int = 3, sessions: int = 0
) -> PoolSnapshot:
    return PoolSnapshot(
        size, 0, 1, queued, workers, 10.0, sessions=sessions, light_concurrency=each, queued_light=light
    )


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        pytest.param(pool(0, 2), Assignment(start=1), id="one worker for several"),
        pytest.param(pool(0, 4), Assignment(start=2), id="a second for what is over"),
        pytest.param(pool(1, 3), Assignment(start=1), id="who starts for one kind serves the other too"),
        pytest.param(pool(0, 2, worker("a", 1)), Assignment(light_places=("a", "a")), id="a busy worker takes them"),
        pytest.param(pool(1, 0, worker("a", 0, 3)), Assignment(("a",)), id="and takes others beside them"),
        pytest.param(
            pool(0, 3, worker("a", 0, 2), worker("b")),
            Assignment(light_places=("b", "b", "a")),
            id="the least busy first",
        ),
        pytest.param(pool(0, 0, worker("a", 0, 1, 99.0)), Assignment(), id="who has one does not idle"),
        pytest.param(
            pool(0, 2, worker("a", 0, 1), size=1, sessions=1), Assignment(), id="none for whom a session waits"
        ),
    ],
)
def test_decisions(snapshot: PoolSnapshot, expected: Assignment) -> None:
    """Each situation has its one decision."""
    assert assign(snapshot) == expected


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), max_size=5),
    st.integers(0, 3),
    st.integers(0, 9),
)
def test_no_worker_has_more_than_it_may(loads: list[tuple[int, int]], queued: int, light: int) -> None:
    """Neither kind goes over its own limit, and every free place is used."""
    workers = [worker(f"w{number}", *load) for number, load in enumerate(loads)]
    made = assign(pool(queued, light, *workers, size=5))
    given_light = Counter(made.light_places)
    assert all(one.light + given_light[one.id] <= 3 for one in workers)
    assert len(made.light_places) == min(light, sum(3 - one.light for one in workers))
    assert len(made.places) == min(queued, sum(1 - one.in_flight for one in workers))


def submit(host: FakeHost, call_id: str, *, light: bool, priority: int = 0) -> None:
    message = Submit(id=call_id, op="lm.complete", pool="general", light=light, priority=priority)
    host.broker.submit(b"notebook", message, ())


def host_of(**values: int) -> FakeHost:
    host = FakeHost(PoolSpec.create(name="general", size=1, **values))
    host.add_client()
    return host


def test_a_long_call_keeps_no_light_one_waiting() -> None:
    """One worker has a call, and all the light ones that come."""
    host = host_of(light_concurrency=3)
    submit(host, "long", light=False)
    (peer,) = host.greet_all()
    for name in ("a", "b", "c", "d"):
        submit(host, name, light=True)
    assert host.outbox.runs() == [(peer, name) for name in ("long", "a", "b", "c")]


def test_the_next_one_goes_when_one_ends() -> None:
    """A place that gets free is taken by the light call that is next, urgent ones first."""
    host = host_of(light_concurrency=1)
    submit(host, "a", light=True)
    (peer,) = host.greet_all()
    submit(host, "of a batch", light=True, priority=1)
    submit(host, "urgent", light=True)
    host.broker.done(peer, Done("a"), ())
    assert host.outbox.runs()[-1] == (peer, "urgent")


def test_their_line_has_the_pool_s_limit() -> None:
    """More than the queue's limit is PoolSaturated at once."""
    host = host_of(queue_limit=2)
    for name in ("a", "b", "c"):
        submit(host, name, light=True)
    answer = host.outbox.sent[-1][1]
    assert isinstance(answer, Failed)
    assert isinstance(error_from_dict(answer.error), PoolSaturated)


def test_those_of_a_worker_that_died_run_again() -> None:
    """An idempotent light call waits again, at the head of its line."""
    host = host_of(light_concurrency=2)
    message = Submit(id="a", op="lm.complete", pool="general", light=True, idempotent=True)
    host.broker.submit(b"notebook", message, ())
    host.greet_all()
    host.broker.worker_exited("general-1", -9)
    (peer,) = host.greet_all()
    assert host.outbox.runs()[-1] == (peer, "a")
