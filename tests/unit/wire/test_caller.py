"""The caller's side by two joined ends: what it sends is a list, what it is told comes from the test."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path

import msgspec
import pytest

from dspex_lab.calls import Call, Chunk, TraceContext, Usage
from dspex_lab.errors import (
    Cancelled,
    DeadlineExceeded,
    HostUnavailable,
    LabError,
    ProtocolError,
    PythonError,
    ValidationError,
)
from dspex_lab.wire import caller as caller_module
from dspex_lab.wire.caller import Caller, RemoteCall
from dspex_lab.wire.codec import decode, encode
from dspex_lab.wire.framing import Frames, pack
from dspex_lab.wire.messages import (
    Cancel,
    ChunkOut,
    Credit,
    Done,
    Failed,
    Message,
    Notice,
    Reply,
    Request,
    Submit,
    Welcome,
)
from dspex_lab.wire.segments import Segments


class Wire:
    """A caller and everything that it sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[Message, Frames]] = []
        self.caller = Caller(lambda message, payload: self.sent.append((message, payload)))

    def messages(self) -> list[Message]:
        return [message for message, _ in self.sent]

    def submit(self, call: Call) -> RemoteCall:
        return self.caller.submit(call)

    def done(self, call: Call, value: object = None) -> None:
        self.caller.receive(Done(call.id), encode(value))

    def chunk(self, call: Call, number: int) -> None:
        self.caller.receive(ChunkOut(call.id, number, str(number)), ())


@pytest.fixture
async def wire() -> Wire:
    return Wire()


async def error_of(pending: RemoteCall) -> LabError:
    with pytest.raises(LabError) as caught:
        async with asyncio.timeout(5):
            await pending.result()
    return caught.value


async def test_a_call_leaves_with_all_that_it_says(wire: Wire) -> None:
    """Submit carries every field of the call, and the payload its arguments."""
    trace = TraceContext("t" * 32, "s" * 16)
    call = Call("a.b", {"x": 1}, "id", "neural", 2.5, trace, "session", stream=True, credit=3, idempotent=True)
    wire.submit(call)
    (message, payload) = wire.sent[0]
    assert message == Submit(
        "id", "a.b", "neural", 2.5, "t" * 32, "s" * 16, "session", stream=True, credit=3, idempotent=True
    )
    assert decode(payload) == {"x": 1}


async def test_done_is_the_result(wire: Wire) -> None:
    """Value, usage, worker and times arrive."""
    call = Call("a.b")
    pending = wire.submit(call)
    done = Done(call.id, run_s=1.0, queue_s=2.0, worker="w", input_tokens=3, output_tokens=4, cost=0.5, lm_calls=1)
    wire.caller.receive(done, encode([1, 2]))
    result = await pending.result()
    assert (result.value, result.usage, result.worker) == ([1, 2], Usage(3, 4, 0.5, 1), "w")
    assert (result.run_s, result.queue_s) == (1.0, 2.0)


async def test_failed_is_the_error(wire: Wire) -> None:
    """The error arrives as it was raised."""
    call = Call("a.b")
    pending = wire.submit(call)
    wire.caller.receive(Failed(call.id, PythonError("x", "trace", "ValueError").to_dict()), ())
    error = await error_of(pending)
    assert isinstance(error, PythonError)
    assert (error.message, error.traceback, error.error_type) == ("x", "trace", "ValueError")


@pytest.mark.parametrize(
    "error", [{}, {"type": "Coffee"}, {"type": "ValidationError", "message": 3, "errors": 5}, {"type": "LabError"}]
)
async def test_an_error_that_is_none_still_ends_the_call(wire: Wire, error: dict[str, object]) -> None:
    """Whatever a worker says instead of an error, the call ends."""
    call = Call("a.b")
    pending = wire.submit(call)
    wire.caller.receive(Failed(call.id, error), ())
    await error_of(pending)


async def test_a_result_that_is_code_is_a_protocol_error(wire: Wire) -> None:
    """A worker cannot make its caller unpickle anything."""
    call = Call("a.b")
    pending = wire.submit(call)
    wire.caller.receive(Done(call.id), [msgspec.msgpack.encode(msgspec.msgpack.Ext(1, b"cos\nsystem\n(S'false'\ntR."))])
    assert isinstance(await error_of(pending), ProtocolError)


async def test_what_comes_after_the_end_is_dropped(wire: Wire) -> None:
    """The first end counts; late chunks and ends, and those of unknown calls, change nothing."""
    call = Call("a.b", stream=True)
    pending = wire.submit(call)
    wire.done(call, 1)
    wire.chunk(call, 0)
    wire.caller.receive(Failed(call.id, LabError("late").to_dict()), ())
    wire.caller.receive(Done("unknown"), encode(1))
    assert (await pending.result()).value == 1
    assert [chunk async for chunk in pending] == []


@pytest.mark.parametrize(
    "call",
    [Call("a.b", {"x": object()}), Call("\ud800"), Call("a.b", pool="\ud800")],
    ids=["arguments", "operation", "pool"],
)
async def test_what_cannot_be_sent_ends_at_once(wire: Wire, call: Call) -> None:
    """submit() returns a handle whatever it is given, and nothing is under way."""

    def send(message: Message, payload: Frames) -> None:
        msgspec.msgpack.encode(message)

    wire.caller.send = send
    pending = wire.submit(call)
    assert isinstance(await error_of(pending), ValidationError)
    assert wire.caller.in_flight == 0


# --- chunks and credit --------------------------------------------------------------------------------------------


async def test_credit_is_given_back_as_chunks_are_read(wire: Wire) -> None:
    """Half of the credit at a time, and never more than was read."""
    call = Call("a.b", stream=True, credit=4)
    pending = wire.submit(call)
    for number in range(4):
        wire.chunk(call, number)
    assert [message for message in wire.messages() if isinstance(message, Credit)] == []
    iterator = aiter(pending)
    texts = [(await anext(iterator)).text for _ in range(4)]
    reader = asyncio.create_task(_next(iterator))  # who asks for the fifth has read four
    await asyncio.sleep(0)
    assert texts == ["0", "1", "2", "3"]
    assert [message.count for message in wire.messages() if isinstance(message, Credit)] == [2, 2]
    wire.done(call)
    assert await reader is None


async def _next(iterator: object) -> Chunk | None:
    return await anext(iterator, None)  # type: ignore[call-overload, no-any-return]


async def test_result_gives_all_credit_back(wire: Wire) -> None:
    """Who waits for the end drops the chunks, those that wait and those that come."""
    call = Call("a.b", stream=True, credit=4)
    pending = wire.submit(call)
    wire.chunk(call, 0)
    wire.chunk(call, 1)
    waiter = asyncio.create_task(error_of(pending))
    await asyncio.sleep(0)
    wire.chunk(call, 2)
    assert sum(message.count for message in wire.messages() if isinstance(message, Credit)) == 3
    wire.caller.receive(Failed(call.id, LabError("x").to_dict()), ())
    await waiter


async def test_iteration_ends_with_the_call_after_its_last_chunk(wire: Wire) -> None:
    """Chunks that came before the end are read before it."""
    call = Call("a.b", stream=True)
    pending = wire.submit(call)
    wire.chunk(call, 0)
    wire.done(call)
    assert [chunk.text async for chunk in pending] == ["0"]


async def test_a_reader_that_leaves_cancels_the_call(wire: Wire) -> None:
    """Nobody would give credit back any more."""
    call = Call("a.b", stream=True)
    pending = wire.submit(call)
    wire.chunk(call, 0)
    async for _ in pending:
        break
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert wire.messages()[1:] == [Cancel(call.id)]


async def test_who_stops_reading_and_waits_for_the_end_gets_it(wire: Wire) -> None:
    """result() takes the place of the reader."""
    call = Call("a.b", stream=True)
    pending = wire.submit(call)
    wire.chunk(call, 0)
    async for _ in pending:
        break
    waiter = asyncio.create_task(_result(pending))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    wire.done(call, 1)
    assert await waiter == 1
    assert not any(isinstance(message, Cancel) for message in wire.messages())


async def _result(pending: RemoteCall) -> object:
    return (await pending.result()).value


# --- cancel, time, the end ----------------------------------------------------------------------------------------


async def test_cancel_asks_and_the_answer_ends_the_call(wire: Wire) -> None:
    """cancel() sends one Cancel; the call is under way until the host says its end."""
    call = Call("a.b")
    pending = wire.submit(call)
    pending.cancel()
    assert wire.messages()[-1] == Cancel(call.id)
    assert not pending.has_ended
    wire.caller.receive(Failed(call.id, Cancelled("cancelled").to_dict()), ())
    assert isinstance(await error_of(pending), Cancelled)


async def test_a_call_that_never_left_is_cancelled_here(wire: Wire) -> None:
    """While the connection is made there is nobody to ask; the call is not sent later either."""
    pending = RemoteCall(Call("a.b"), wire.caller)
    pending.cancel()
    wire.caller.submit_pending(pending)
    assert isinstance(await error_of(pending), Cancelled)
    assert wire.sent == []


async def test_a_host_that_does_not_answer_is_given_up(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some time after the deadline the caller stops waiting, and says so to the host."""
    monkeypatch.setattr("dspex_lab.wire.caller._DEADLINE_GRACE_S", 0.0)
    call = Call("a.b", timeout_s=0.01)
    pending = wire.submit(call)
    assert isinstance(await error_of(pending), DeadlineExceeded)
    assert wire.messages()[-1] == Cancel(call.id)
    assert wire.caller.in_flight == 0


async def test_the_time_before_sending_counts(wire: Wire) -> None:
    """A call that waited for the connection is sent with what is left of its time."""
    pending = RemoteCall(Call("a.b", timeout_s=0.05), wire.caller)
    await asyncio.sleep(0.06)  # the loop's own clock cannot be injected
    wire.caller.submit_pending(pending)
    (message,) = wire.messages()
    assert isinstance(message, Submit)
    assert message.timeout_s == 0.0
    pending.finish(Cancelled("enough"))


async def test_losing_the_connection_ends_everything_once(wire: Wire) -> None:
    """Every call and request fails with the error; nothing is under way."""
    pending = [wire.submit(Call("a.b")) for _ in range(3)]
    request = asyncio.create_task(wire.caller.request("status", {}, timeout_s=5))
    await asyncio.sleep(0)
    wire.caller.fail_all(HostUnavailable("gone"))
    for one in pending:
        assert isinstance(await error_of(one), HostUnavailable)
    with pytest.raises(HostUnavailable):
        await request
    assert repr(wire.caller) == "<Caller [calls: 0, requests: 0]>"


async def test_closing_cancels_here_and_there(wire: Wire) -> None:
    """close() tells the host and ends the calls."""
    call = Call("a.b")
    pending = wire.submit(call)
    wire.caller.close()
    assert wire.messages()[-1] == Cancel(call.id)
    assert isinstance(await error_of(pending), Cancelled)


async def test_an_error_that_nobody_reads_is_quiet(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    """A call that nobody waits for fails in silence."""
    call = Call("a.b")
    wire.submit(call)
    wire.caller.receive(Failed(call.id, LabError("x").to_dict()), ())
    await asyncio.sleep(0)
    gc.collect()
    assert caplog.records == []


# --- requests -----------------------------------------------------------------------------------------------------


async def test_a_request_gets_its_own_reply(wire: Wire) -> None:
    """Replies find their requests, whatever their order."""
    tasks = [asyncio.create_task(wire.caller.request(name, {}, timeout_s=5)) for name in ("a", "b")]
    await asyncio.sleep(0)
    for message in reversed(wire.messages()):
        assert isinstance(message, Request)
        wire.caller.receive(Reply(message.id, message.method.upper()), ())
    assert [await task for task in tasks] == ["A", "B"]


async def test_a_request_that_is_not_answered_ends(wire: Wire) -> None:
    """After its time it is a DeadlineExceeded, and its late reply is dropped."""
    with pytest.raises(DeadlineExceeded):
        await wire.caller.request("status", {}, timeout_s=0.01)
    (message,) = wire.messages()
    assert isinstance(message, Request)
    assert wire.caller.receive(Reply(message.id, 1), ())


async def test_messages_for_others_are_passed_on(wire: Wire) -> None:
    """receive() says which messages are a caller's; a notice is, and is dropped."""
    assert not wire.caller.receive(Welcome(1, "h", 1), ())
    assert wire.caller.receive(Notice("n"), ())


async def test_a_cancelled_call_ends_though_nobody_answers(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that is stopped keeps nobody waiting, also where the call has no limit."""
    monkeypatch.setattr(caller_module, "_DEADLINE_GRACE_S", 0.01)
    pending = wire.submit(Call("a.b"))
    pending.cancel()
    assert isinstance(await error_of(pending), Cancelled)
    assert wire.caller.in_flight == 0


async def test_what_is_given_up_does_not_run_on(wire: Wire) -> None:
    """Every call ends here with the error, and on the other side but for the detached."""
    call, job = Call("a.b"), Call("a.b", detached=True)
    pending = [wire.submit(call), wire.submit(job)]
    wire.caller.give_up(ProtocolError("not understood"))
    assert [type(await error_of(one)) for one in pending] == [ProtocolError, ProtocolError]
    assert [message.id for message in wire.messages() if isinstance(message, Cancel)] == [call.id]


async def test_a_question_that_has_no_form_as_bytes_is_a_validation_error() -> None:
    """As it is for a call."""

    def send(message: Message, payload: Frames) -> None:
        pack(message, payload)

    caller = Caller(send)
    with pytest.raises(ValidationError):
        await caller.request("session.open", {"pool": "\udc80"}, timeout_s=1.0)
    assert isinstance(await error_of(caller.submit(Call("a.b", pool="\udc80"))), ValidationError)


async def test_what_a_detached_call_was_given_stays_when_its_notebook_leaves(tmp_path: Path) -> None:
    """It waits for its worker; an ordinary call's goes."""
    segments = Segments("dspex-0123abcd.6e62.", folder=tmp_path, threshold_bytes=10)
    caller = Caller(lambda *_: None, segments)
    for is_detached in (False, True):
        caller.submit(Call("a.b", {"data": b"x" * 100_000}, detached=is_detached))
    caller.close()
    assert len(list(os.scandir(tmp_path))) == 1
