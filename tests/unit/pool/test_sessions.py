"""Sessions in the broker: a worker of one's own, one call at a time, and an end that takes everything along."""

from __future__ import annotations

from typing import Any

import pytest

from dspex_lab.errors import ConfigurationError, PoolSaturated, SessionLost, WorkerMemoryExceeded
from dspex_lab.pool.sessions import SessionRecord
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.host import FakeHost
from dspex_lab.wire.messages import Cancel, Done, Failed, Run, Submit

NOTEBOOK = b"notebook"
PAIR = PoolSpec(name="general", size=2)
WIDE = PoolSpec(name="general", size=2, concurrency=3)


def host_with_client(*specs: PoolSpec) -> FakeHost:
    host = FakeHost(*specs)
    host.add_client()
    return host


def open_session(host: FakeHost, *, client: bytes = NOTEBOOK, idle_expiry_s: float = 60.0) -> SessionRecord:
    return host.broker.open_session(client, "general", idle_expiry_s)


def call(
    host: FakeHost,
    call_id: str,
    session: SessionRecord | None = None,
    *,
    client: bytes = NOTEBOOK,
    **fields: Any,
) -> None:
    message = Submit(id=call_id, op="x", pool="general", session=session.id if session else None, **fields)
    host.broker.submit(client, message, (b"",))


def bound(*specs: PoolSpec, call_id: str = "one") -> tuple[FakeHost, SessionRecord, bytes]:
    """A session whose first call runs, and its worker's identity."""
    host = host_with_client(*specs)
    session = open_session(host)
    call(host, call_id, session)
    (worker,) = host.greet_all()
    return host, session, worker


def errors(host: FakeHost, client: bytes = NOTEBOOK) -> dict[str, str]:
    return host.outbox.errors_to(client)


# --- a worker of one's own ----------------------------------------------------------------------------------------


def test_the_first_call_checks_a_worker_out() -> None:
    """Opening starts nothing; the first call starts a worker, and goes to it with the session's id."""
    host = host_with_client()
    session = open_session(host)
    assert host.kernels.started == []
    call(host, "one", session)
    (worker,) = host.greet_all()
    (run,) = host.outbox.to(worker)
    assert isinstance(run, Run)
    assert (run.id, run.session, session.worker_id) == ("one", session.id, "general-1")


def test_its_worker_takes_no_other_calls() -> None:
    """Ordinary calls go elsewhere, also while the session's worker idles."""
    host, _, worker = bound(PAIR)
    host.broker.done(worker, Done("one"), (b"",))
    call(host, "other")
    assert host.kernels.started == ["general-1", "general-2"]
    other = host.greet("general-2")
    assert host.outbox.runs() == [(worker, "one"), (other, "other")]


def test_its_calls_go_to_its_worker_one_after_another() -> None:
    """In the order in which they came, whatever the pool's concurrency and the other workers do."""
    host, session, worker = bound(WIDE)
    for name in ("two", "three"):
        call(host, name, session)
    assert host.outbox.runs() == [(worker, "one")]
    for name in ("one", "two", "three"):
        host.broker.done(worker, Done(name), (b"",))
    assert host.outbox.runs() == [(worker, "one"), (worker, "two"), (worker, "three")]
    assert host.kernels.started == ["general-1"]


def test_two_sessions_have_two_workers() -> None:
    """Each has its own; a worker that is checked out counts to the pool's size."""
    host, _, first = bound(PAIR)
    second = open_session(host)
    call(host, "two", second)
    call(host, "ordinary")
    peer = host.greet("general-2")
    assert host.outbox.runs() == [(first, "one"), (peer, "two")]
    assert host.kernels.started == ["general-1", "general-2"]


def test_a_session_beyond_the_size_waits_for_another_to_end() -> None:
    """Its call waits in line, and runs on a fresh worker when there is room."""
    host, first, worker = bound()
    second = open_session(host)
    call(host, "two", second)
    host.broker.done(worker, Done("one"), (b"",))
    assert host.outbox.runs() == [(worker, "one")]
    host.broker.end_session(first, "it was closed")
    assert host.kernels.started == ["general-1", "general-2"]
    fresh = host.greet("general-2")
    assert host.outbox.runs()[-1] == (fresh, "two")


def test_a_waiting_session_s_deadline_holds() -> None:
    """A call that waits for a worker is DeadlineExceeded at its time, and the session waits no longer."""
    host, *_ = bound()
    call(host, "late", open_session(host), timeout_s=1.0)
    host.clock.advance(1.0)
    host.examine()
    assert errors(host) == {"late": "DeadlineExceeded"}
    assert len(host.workforce.pools["general"].checkouts) == 0


def test_a_session_goes_before_the_calls_that_wait() -> None:
    """The next worker that idles is the session's, although others waited longer."""
    host = host_with_client()
    call(host, "running")
    (worker,) = host.greet_all()
    call(host, "waiting")
    call(host, "mine", open_session(host))
    host.broker.done(worker, Done("running"), (b"",))
    assert host.outbox.runs() == [(worker, "running"), (worker, "mine")]


def test_owners_of_waiting_sessions_take_turns() -> None:
    """A notebook that opens many does not keep another one waiting for all of them."""
    host, first, _ = bound()
    other = host.add_client("other")
    for name in ("two", "three"):
        call(host, name, open_session(host))
    call(host, "theirs", open_session(host, client=other), client=other)
    waiting = first
    for _ in range(2):
        host.broker.end_session(waiting, "it was closed")
        host.greet_all()
        (waiting,) = [one for one in host.broker.sessions if one.worker_id]
    assert [call_id for _, call_id in host.outbox.runs()] == ["one", "two", "theirs"]


def test_a_worker_that_many_calls_share_is_freed_for_a_session() -> None:
    """The least busy worker takes no more calls, and is checked out after the last of those that it has."""
    host = host_with_client(PoolSpec(name="general", size=1, concurrency=2))
    call(host, "a")
    (worker,) = host.greet_all()
    call(host, "b")
    call(host, "mine", open_session(host))
    call(host, "c")
    host.broker.done(worker, Done("a"), (b"",))
    assert [call_id for _, call_id in host.outbox.runs()] == ["a", "b"]
    host.broker.done(worker, Done("b"), (b"",))
    assert [call_id for _, call_id in host.outbox.runs()] == ["a", "b", "mine"]


def test_a_session_s_worker_is_neither_recycled_nor_retired() -> None:
    """Its state is worth more than its age; only the session's end lets it go."""
    spec = PoolSpec(name="general", size=1, recycle_after_calls=1, recycle_after_s=5.0, idle_retire_s=5.0)
    host, _, worker = bound(spec)
    host.broker.done(worker, Done("one"), (b"",))
    host.clock.advance(20.0)
    host.examine()
    assert (host.kernels.stopped, host.kernels.killed) == ([], [])


def test_a_smaller_pool_leaves_sessions_their_workers() -> None:
    """resize takes the workers of ordinary calls only."""
    host, _, worker = bound(PAIR)
    call(host, "two", open_session(host))
    host.greet_all()
    host.workforce.resize("general", 1)
    host.broker.done(worker, Done("one"), (b"",))
    host.examine()
    assert host.kernels.stopped == []


# --- strangers ----------------------------------------------------------------------------------------------------


def test_another_peer_s_session_is_not_to_be_had() -> None:
    """A stranger that names it is told what it is told of a session that never was, and the owner sees nothing."""
    host, session, worker = bound()
    stranger = host.add_client("stranger")
    call(host, "stolen", session, client=stranger)
    host.broker.submit(stranger, Submit(id="unknown", op="x", pool="general", session="nobody"), (b"",))
    stolen, unknown = [one.error for one in host.outbox.to(stranger) if isinstance(one, Failed)]
    assert stolen == unknown
    assert stolen["type"] == "SessionLost"
    assert host.outbox.runs() == [(worker, "one")]


def test_a_session_is_of_one_pool() -> None:
    """A call that names another pool is a ProtocolError."""
    host = FakeHost(PAIR, PoolSpec(name="other", size=1))
    host.add_client()
    session = open_session(host)
    host.broker.submit(NOTEBOOK, Submit(id="one", op="x", pool="other", session=session.id), (b"",))
    assert errors(host) == {"one": "ProtocolError"}


def test_a_session_needs_a_pool() -> None:
    """An unknown pool is a ConfigurationError, and so it stays with nobody."""
    with pytest.raises(ConfigurationError):
        host_with_client().broker.open_session(NOTEBOOK, "nowhere", 60.0)


def test_lines_and_sessions_have_the_queue_s_limit() -> None:
    """A session's line has the pool's queue_limit for itself, and so many sessions a pool may have."""
    host, session, _ = bound(PoolSpec(name="general", size=1, queue_limit=2))
    for name in ("two", "three", "four"):
        call(host, name, session)
    assert errors(host) == {"four": "PoolSaturated"}
    call(host, "ordinary")
    assert "ordinary" not in errors(host)
    open_session(host)
    with pytest.raises(PoolSaturated):
        open_session(host)


# --- the end ------------------------------------------------------------------------------------------------------


def test_closing_ends_its_calls_and_its_worker() -> None:
    """Calls that run and wait are SessionLost at once and once, and the worker is given to nobody."""
    host, session, worker = bound()
    call(host, "two", session)
    host.broker.end_session(session, "it was closed")
    assert errors(host) == {"one": "SessionLost", "two": "SessionLost"}
    assert host.kernels.killed == ["general-1"]
    host.broker.done(worker, Done("one"), (b"",))
    host.broker.worker_exited("general-1", -9)
    assert len(host.outbox.to(NOTEBOOK)) == 2
    assert host.broker.calls == {}
    assert host.workforce.pools["general"].counters.lost_workers == 0


def test_an_idle_session_s_worker_is_asked_to_go() -> None:
    """Closing a session without calls stops its worker, and ends it twice as it does once."""
    host, session, worker = bound()
    host.broker.done(worker, Done("one"), (b"",))
    for _ in range(2):
        host.broker.end_session(session, "it was closed")
    assert (host.kernels.stopped, host.kernels.killed) == (["general-1"], [])


def test_a_call_after_the_end_is_told_why() -> None:
    """SessionLost says what became of the session."""
    host, session, _ = bound()
    host.broker.end_session(session, "it was closed")
    call(host, "late", session)
    late = host.outbox.to(NOTEBOOK)[-1]
    assert isinstance(late, Failed)
    assert (late.error["type"], late.error["message"]) == ("SessionLost", "The session is gone: it was closed.")


def test_it_expires_when_nobody_calls() -> None:
    """Counted from the end of the last call; a call under way keeps it."""
    host, session, worker = bound()
    host.clock.advance(100.0)
    host.workforce.heard(host.workforce.workers["general-1"], 0, 0.0)
    host.examine()
    host.broker.done(worker, Done("one"), (b"",))
    host.clock.advance(59.0)
    host.examine(silence_s=1000.0)
    assert host.kernels.stopped == []
    host.clock.advance(1.0)
    host.examine(silence_s=1000.0)
    assert host.kernels.stopped == ["general-1"]
    with pytest.raises(SessionLost, match="no call for 60 s"):
        host.broker.sessions.find(session.id, NOTEBOOK)


def test_one_that_was_never_called_expires_too() -> None:
    """Counted from its opening."""
    host = host_with_client()
    open_session(host, idle_expiry_s=5.0)
    host.clock.advance(5.0)
    host.examine()
    assert len(host.broker.sessions) == 0
    assert host.workforce.pools["general"].sessions == {}


def test_it_goes_with_its_owner() -> None:
    """The notebook left or died: the worker is ended, and nothing is sent to who is gone."""
    host, _, _ = bound()
    host.broker.remove_peer(NOTEBOOK)
    assert host.kernels.killed == ["general-1"]
    assert host.outbox.to(NOTEBOOK) == []
    host.broker.worker_exited("general-1", -9)
    assert (len(host.broker.sessions), host.broker.calls) == (0, {})


def test_a_dead_worker_takes_it_along() -> None:
    """Every call is SessionLost, idempotent or not, and none runs again; later calls are told why."""
    host = host_with_client()
    session = open_session(host)
    call(host, "one", session, idempotent=True)
    call(host, "two", session, idempotent=True)
    (worker,) = host.greet_all()
    host.broker.worker_exited("general-1", -9)
    call(host, "three", session)
    assert errors(host) == dict.fromkeys(("one", "two", "three"), "SessionLost")
    assert host.outbox.runs() == [(worker, "one")]
    assert host.workforce.pools["general"].counters.lost_workers == 1


def test_a_worker_ended_for_its_memory_is_said_to_be() -> None:
    """The session's end says why its worker was ended."""
    host, session, _ = bound()
    host.workforce.kill(host.workforce.workers["general-1"], WorkerMemoryExceeded("It used too much."))
    host.broker.worker_exited("general-1", -9)
    assert errors(host) == {"one": "SessionLost"}
    with pytest.raises(SessionLost, match="It used too much"):
        host.broker.sessions.find(session.id, NOTEBOOK)


def test_a_cancelled_call_leaves_it_alive() -> None:
    """A call that stops within the grace is Cancelled, and the next runs on the same worker."""
    host, session, worker = bound()
    call(host, "two", session)
    host.broker.cancel(NOTEBOOK, Cancel("one"))
    host.broker.failed(worker, Failed("one", {"type": "Cancelled"}))
    assert errors(host) == {"one": "Cancelled"}
    assert host.outbox.runs()[-1] == (worker, "two")


def test_a_call_that_will_not_stop_ends_it() -> None:
    """The cancelled call is Cancelled, those behind it are SessionLost."""
    host, session, _ = bound()
    call(host, "two", session)
    host.broker.cancel(NOTEBOOK, Cancel("one"))
    host.clock.advance(5.0)
    host.examine()
    assert host.kernels.killed == ["general-1"]
    host.broker.worker_exited("general-1", -9)
    assert errors(host) == {"one": "Cancelled", "two": "SessionLost"}


def test_a_waiting_call_is_cancelled_at_once() -> None:
    """It leaves its session's line."""
    host, session, worker = bound()
    call(host, "two", session)
    host.broker.cancel(NOTEBOOK, Cancel("two"))
    assert errors(host) == {"two": "Cancelled"}
    host.broker.done(worker, Done("one"), (b"",))
    assert host.outbox.runs() == [(worker, "one")]


def test_a_pool_that_cannot_start_fails_the_calls_and_not_the_session() -> None:
    """They are WorkerLost with the pool's trouble; the session may be called again."""
    host = host_with_client()
    session = open_session(host, idle_expiry_s=1000.0)
    call(host, "one", session)
    for _ in range(10):
        for worker in list(host.workforce.workers):
            host.broker.worker_exited(worker, 1, "no such Python")
        host.clock.advance(40.0)
        host.examine()
    assert errors(host) == {"one": "WorkerLost"}
    assert session in host.broker.sessions


def test_statistics_tell_of_sessions() -> None:
    """Each with its worker, its calls and how long it idles; the worker says that it is checked out."""
    host, session, worker = bound()
    call(host, "two", session)
    pool = host.workforce.statistics()["general"]
    assert pool["sessions"] == [
        {"id": session.id, "worker": "general-1", "in_flight": 1, "waiting": 1, "idle_s": 0.0, "idle_expiry_s": 60.0}
    ]
    assert (pool["queued"], pool["workers"][0]["state"]) == (1, "in session")
    for name in ("one", "two"):
        host.broker.done(worker, Done(name), (b"",))
    host.clock.advance(3.0)
    assert host.workforce.statistics()["general"]["sessions"][0]["idle_s"] == 3.0
