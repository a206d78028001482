"""The broker by examples: where calls go, and how each one ends."""

from __future__ import annotations

import pytest

from dspex_lab.errors import ProtocolError, WorkerMemoryExceeded
from dspex_lab.pool.records import CallPhase
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.host import FakeHost
from dspex_lab.wire.messages import Cancel, ChunkOut, Credit, Done, Failed, Hello, Message, Run, Started, Submit


def submit(
    host: FakeHost,
    call_id: str,
    *,
    client: bytes = b"notebook",
    pool: str = "general",
    timeout_s: float | None = None,
    is_idempotent: bool = False,
) -> None:
    message = Submit(
        id=call_id, op="system.echo", pool=pool, timeout_s=timeout_s, idempotent=is_idempotent, stream=True, credit=2
    )
    host.broker.submit(client, message, (b"payload",))


def running(host: FakeHost, call_id: str = "one", *, is_idempotent: bool = False) -> bytes:
    """A client with one call that runs; the worker's identity."""
    host.add_client()
    submit(host, call_id, is_idempotent=is_idempotent)
    (worker,) = host.greet_all()
    host.broker.started(worker, Started(call_id, "task"))
    return worker


def ends(host: FakeHost, client: bytes = b"notebook") -> list[Message]:
    return [message for message in host.outbox.to(client) if isinstance(message, Done | Failed)]


def test_a_call_waits_for_its_worker() -> None:
    """The first call starts a worker, and goes to it with its payload when the worker says hello."""
    host = FakeHost()
    host.add_client()
    submit(host, "one")
    assert host.kernels.started == ["general-1"]
    worker = host.greet("general-1")
    peer, message, payload = host.outbox.sent[-1]
    assert (peer, payload) == (worker, (b"payload",))
    assert isinstance(message, Run)


def test_done_carries_the_queue_time_and_the_worker() -> None:
    """The host adds what only it knows: how long the call waited, and where it ran."""
    host = FakeHost()
    host.add_client()
    submit(host, "one")
    host.clock.advance(2.0)
    worker = host.greet("general-1")
    host.broker.done(worker, Done("one", run_s=0.5, input_tokens=7), (b"value",))
    peer, message, payload = host.outbox.sent[-1]
    assert (peer, payload) == (b"notebook", (b"value",))
    assert message == Done("one", run_s=0.5, queue_s=2.0, worker="general-1", input_tokens=7)


def test_calls_are_served_in_order() -> None:
    """First come, first served, within a pool."""
    host = FakeHost()
    host.add_client()
    for number in range(5):
        submit(host, str(number))
    (worker,) = host.greet_all()
    for number in range(5):
        host.broker.done(worker, Done(str(number)), (b"",))
    assert host.outbox.runs() == [(worker, str(number)) for number in range(5)]


def test_a_full_queue_is_said_at_once() -> None:
    """A call over the queue's limit is PoolSaturated, and those that wait go on waiting."""
    host = FakeHost(PoolSpec(name="general", size=1, queue_limit=2))
    host.add_client()
    for name in ("a", "b", "c"):
        submit(host, name)
    assert host.outbox.errors_to(b"notebook") == {"c": "PoolSaturated"}
    assert list(host.workforce.pools["general"].queue) == ["a", "b"]


def test_an_unknown_pool_is_a_configuration_error() -> None:
    """A call to a pool that is not there is refused, and nothing is started."""
    host = FakeHost()
    host.add_client()
    submit(host, "one", pool="nowhere")
    assert host.outbox.errors_to(b"notebook") == {"one": "ConfigurationError"}
    assert host.kernels.started == []


def test_an_id_in_use_is_refused_to_a_stranger() -> None:
    """A second call of the same id fails for who sent it; the first goes on."""
    host = FakeHost()
    worker = running(host)
    stranger = host.add_client("stranger")
    submit(host, "one", client=stranger)
    assert host.outbox.errors_to(stranger) == {"one": "ProtocolError"}
    host.broker.done(worker, Done("one"), (b"",))
    assert [type(message) for message in ends(host)] == [Done]


# --- strangers and late answers -----------------------------------------------------------------------------------


def test_a_stranger_can_not_be_a_worker() -> None:
    """Who calls itself a worker without being expected is refused, and so is a second greeting."""
    host = FakeHost()
    running(host)
    for name in ("general-9", "general-1"):
        with pytest.raises(ProtocolError):
            host.broker.add_peer(b"stranger", Hello(1, "", "worker", name, 1))


def test_a_second_hello_is_refused() -> None:
    """A peer is who it said it was: saying hello again is an error, and its calls stay its own."""
    host = FakeHost()
    worker = running(host)
    for peer in (b"notebook", worker):
        with pytest.raises(ProtocolError):
            host.broker.add_peer(peer, Hello(1, "", "client", "again", 1))
    assert host.broker.peers[b"notebook"].calls == {"one"}


def test_an_unknown_role_is_refused() -> None:
    """A peer is a client, an observer or a worker."""
    with pytest.raises(ProtocolError):
        FakeHost().broker.add_peer(b"peer", Hello(1, "", "king", "name", 1))


@pytest.mark.parametrize("stranger", ["client", "worker"])
def test_an_answer_from_another_than_its_worker_is_ignored(stranger: str) -> None:
    """Nobody ends, feeds or starts a call but the worker that has it."""
    host = FakeHost(PoolSpec(name="general", size=1), PoolSpec(name="other", size=1))
    running(host)
    peer = host.add_client("stranger")
    if stranger == "worker":
        submit(host, "two", client=peer, pool="other")
        peer = host.greet("other-2")
    host.broker.done(peer, Done("one"), (b"forged",))
    host.broker.failed(peer, Failed("one", {"type": "LabError"}))
    host.broker.chunk(peer, ChunkOut("one", 0, "forged"))
    host.broker.started(peer, Started("one", "signal"))
    assert [message for message in host.outbox.to(b"notebook") if isinstance(message, Done | Failed | ChunkOut)] == []
    assert host.broker.calls["one"].interruptible == "task"


def test_only_the_caller_cancels_and_gives_credit() -> None:
    """Another client's Cancel and Credit change nothing."""
    host = FakeHost()
    worker = running(host)
    stranger = host.add_client("stranger")
    host.broker.cancel(stranger, Cancel("one"))
    host.broker.credit(stranger, Credit("one", 5))
    assert host.broker.calls["one"].phase is CallPhase.RUNNING
    assert [type(message) for message in host.outbox.to(worker)] == [Run]


def test_an_answer_that_comes_twice_is_dropped() -> None:
    """The second Done, and a Failed after it, are nobody's."""
    host = FakeHost()
    worker = running(host)
    for _ in range(2):
        host.broker.done(worker, Done("one"), (b"",))
    host.broker.failed(worker, Failed("one", {"type": "LabError"}))
    assert len(ends(host)) == 1
    assert host.workforce.pools["general"].counters.succeeded == 1


# --- cancel -------------------------------------------------------------------------------------------------------


def test_a_waiting_call_is_cancelled_at_once() -> None:
    """A call in the queue ends with its cancel and never runs."""
    host = FakeHost()
    host.add_client()
    submit(host, "one")
    host.broker.cancel(b"notebook", Cancel("one"))
    assert host.outbox.errors_to(b"notebook") == {"one": "Cancelled"}
    host.greet_all()
    assert host.outbox.runs() == []


def test_a_task_is_cancelled_by_message_alone() -> None:
    """A call that runs as a task needs no signal."""
    host = FakeHost()
    worker = running(host)
    host.broker.cancel(b"notebook", Cancel("one"))
    assert host.outbox.to(worker)[-1] == Cancel("one")
    assert host.kernels.interrupted == []


@pytest.mark.parametrize("is_started_first", [True, False])
def test_a_plain_function_is_interrupted_whichever_comes_first(*, is_started_first: bool) -> None:
    """A call on the main thread gets one interrupt, whether it said Started before the cancel or after."""
    host = FakeHost()
    host.add_client()
    submit(host, "one")
    (worker,) = host.greet_all()
    if is_started_first:
        host.broker.started(worker, Started("one", "signal"))
    host.broker.cancel(b"notebook", Cancel("one"))
    if not is_started_first:
        host.broker.started(worker, Started("one", "signal"))
    assert host.kernels.interrupted == ["general-1"]


def test_a_result_that_crosses_the_cancel_is_cancelled() -> None:
    """Who cancelled is told Cancelled, even when the value was on its way."""
    host = FakeHost()
    worker = running(host)
    host.broker.cancel(b"notebook", Cancel("one"))
    host.broker.done(worker, Done("one"), (b"",))
    assert host.outbox.errors_to(b"notebook") == {"one": "Cancelled"}
    assert len(ends(host)) == 1


def test_a_client_that_leaves_takes_its_calls_along() -> None:
    """Waiting calls are dropped, running ones stopped, and nothing is sent to who is gone."""
    host = FakeHost()
    worker = running(host)
    submit(host, "two")
    host.broker.remove_peer(b"notebook")
    assert host.outbox.to(worker)[-1] == Cancel("one")
    host.broker.failed(worker, Failed("one", {"type": "Cancelled"}))
    assert host.broker.calls == {}
    assert ends(host) == []
    assert host.workforce.pools["general"].counters.cancelled == 2


# --- workers that die ---------------------------------------------------------------------------------------------


def test_a_lost_call_is_told_once() -> None:
    """The call of a worker that died fails with WorkerLost, and another worker is started for what waits."""
    host = FakeHost()
    running(host)
    submit(host, "two")
    host.broker.worker_exited("general-1", -9)
    assert host.outbox.errors_to(b"notebook") == {"one": "WorkerLost"}
    assert host.kernels.started == ["general-1", "general-2"]
    host.broker.worker_exited("general-1", -9)
    assert len(ends(host)) == 1


def test_an_idempotent_call_runs_again_first() -> None:
    """It goes to the front of the queue, and its caller sees one Done."""
    host = FakeHost()
    running(host, is_idempotent=True)
    submit(host, "two")
    host.broker.worker_exited("general-1", -9)
    (worker,) = host.greet_all()
    host.broker.done(worker, Done("one"), (b"",))
    host.broker.done(worker, Done("two"), (b"",))
    assert host.outbox.runs() == [(b"general-1", "one"), (worker, "one"), (worker, "two")]
    assert [type(message) for message in ends(host)] == [Done, Done]


def test_an_idempotent_call_that_streamed_does_not_run_again() -> None:
    """What a reader has seen is not sent to it twice."""
    host = FakeHost()
    worker = running(host, is_idempotent=True)
    host.broker.chunk(worker, ChunkOut("one", 0, "a"))
    host.broker.worker_exited("general-1", -9)
    assert host.outbox.errors_to(b"notebook") == {"one": "WorkerLost"}


def test_a_worker_that_streams_without_credit_is_at_fault() -> None:
    """What a reader did not ask for is not passed on; credit that it gives back lets the stream go on."""
    host = FakeHost()
    worker = running(host)
    for number in range(2):
        host.broker.chunk(worker, ChunkOut("one", number, "a"))
    host.broker.credit(b"notebook", Credit("one", 1))
    host.broker.chunk(worker, ChunkOut("one", 2, "a"))
    with pytest.raises(ProtocolError, match="without credit"):
        host.broker.chunk(worker, ChunkOut("one", 3, "a"))


def test_an_idempotent_call_that_kills_its_workers_ends() -> None:
    """A call that takes every worker down with it is not run for ever."""
    host = FakeHost()
    host.add_client()
    submit(host, "one", is_idempotent=True)
    for _ in range(20):
        if not host.broker.calls:
            break
        (worker,) = host.greet_all()
        host.broker.worker_exited(worker.decode(), -11)
    assert host.outbox.errors_to(b"notebook") == {"one": "WorkerLost"}


def test_a_dead_worker_is_given_no_more_calls() -> None:
    """Calls that a dead worker had made end, and what their ends let go of runs elsewhere."""
    host = FakeHost(PoolSpec(name="general", size=2, concurrency=2))
    worker = running(host)
    host.broker.submit(worker, Submit(id="nested", op="x", pool="general"), (b"",))
    submit(host, "three")
    submit(host, "four")
    host.broker.worker_exited("general-1", -9)
    host.greet_all()
    assert [call_id for peer, call_id in host.outbox.runs() if peer == b"general-1"] == ["one", "nested"]
    assert host.outbox.errors_to(b"notebook") == {"one": "WorkerLost"}
    assert set(host.broker.calls) == {"three", "four"}


def test_a_worker_ended_for_its_memory_says_so() -> None:
    """Its calls fail with the error that it was ended for, idempotent or not."""
    host = FakeHost()
    running(host, is_idempotent=True)
    host.workforce.kill(host.workforce.workers["general-1"], WorkerMemoryExceeded("too much"))
    host.broker.worker_exited("general-1", -9)
    assert host.outbox.errors_to(b"notebook") == {"one": "WorkerMemoryExceeded"}


def test_the_calls_of_a_silent_worker_may_run_again() -> None:
    """Silence is a kind of death: idempotent calls run elsewhere."""
    host = FakeHost()
    running(host, is_idempotent=True)
    host.clock.advance(60)
    host.examine()
    assert host.kernels.killed == ["general-1"]
    host.broker.worker_exited("general-1", -9)
    assert set(host.broker.calls) == {"one"}
    assert host.kernels.started == ["general-1", "general-2"]


# --- time ---------------------------------------------------------------------------------------------------------


def test_a_call_that_was_late_in_the_queue_never_runs() -> None:
    """Its caller is told DeadlineExceeded, and no worker gets it."""
    host = FakeHost()
    host.add_client()
    submit(host, "one", timeout_s=1.0)
    host.clock.advance(1.0)
    host.examine()
    assert host.outbox.errors_to(b"notebook") == {"one": "DeadlineExceeded"}
    host.greet_all()
    assert host.outbox.runs() == []


def test_a_late_call_frees_its_caller_before_its_worker() -> None:
    """The caller is told at the deadline; the worker has the grace to stop, then it is killed."""
    host = FakeHost()
    host.add_client()
    submit(host, "one", timeout_s=1.0)
    (worker,) = host.greet_all()
    host.clock.advance(1.0)
    host.examine()
    assert host.outbox.errors_to(b"notebook") == {"one": "DeadlineExceeded"}
    assert host.outbox.to(worker)[-1] == Cancel("one")
    host.examine()
    assert host.kernels.killed == []
    host.clock.advance(0.6)
    host.examine()
    assert host.kernels.killed == ["general-1"]
    host.broker.worker_exited("general-1", -9)
    assert len(ends(host)) == 1
    assert host.workforce.pools["general"].counters.failed == 1


def test_the_deadline_reaches_the_worker_as_what_is_left() -> None:
    """A call that waited 2 of its 5 seconds has 3 to run."""
    host = FakeHost()
    host.add_client()
    submit(host, "one", timeout_s=5.0)
    host.clock.advance(2.0)
    (worker,) = host.greet_all()
    (run,) = host.outbox.to(worker)
    assert isinstance(run, Run)
    assert run.timeout_s == pytest.approx(3.0)


def test_a_call_that_will_not_stop_costs_the_others_nothing_but_a_new_start() -> None:
    """When its worker is killed, the idempotent call beside it runs again, another is WorkerLost."""
    host = FakeHost(PoolSpec(name="general", size=1, concurrency=3))
    running(host)
    submit(host, "again", is_idempotent=True)
    submit(host, "lost")
    host.broker.cancel(b"notebook", Cancel("one"))
    host.clock.advance(0.6)
    host.examine()
    host.broker.worker_exited("general-1", -9)
    assert host.outbox.errors_to(b"notebook") == {"one": "Cancelled", "lost": "WorkerLost"}
    assert set(host.broker.calls) == {"again"}


def test_its_repr_is_a_status_line() -> None:
    """repr() counts peers, ready workers and calls."""
    host = FakeHost()
    running(host)
    assert repr(host.broker) == "<Broker [peers: 2, workers ready: 1, calls: 1]>"
