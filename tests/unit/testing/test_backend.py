"""The scripted backend keeps the contract of every backend, on a clock that stands still."""

from __future__ import annotations

import asyncio

import pytest

from dspex_lab.backends.base import Backend, PendingCall
from dspex_lab.calls import Call, Usage
from dspex_lab.errors import Cancelled, DeadlineExceeded, HostUnavailable, ModelError, ProtocolError, PythonError
from dspex_lab.testing import FakeBackend, FakeCall, FakeClock


async def forever(call: FakeCall) -> None:
    await asyncio.Event().wait()


async def five(call: FakeCall) -> str:
    for number in range(5):
        await call.emit(str(number), "text")
    return "done"


async def test_a_call_ends_with_its_value_and_usage() -> None:
    """Plain and asynchronous handlers answer; the result carries the call's id and what was used."""

    def handler(call: FakeCall) -> int:
        call.add_usage(Usage(3, 2, None, 1))
        return int(call.call.args["number"]) * 2

    backend: Backend = FakeBackend({"double": handler})
    pending = backend.submit(Call("double", {"number": 21}))
    result = await pending.result()
    assert isinstance(pending, PendingCall)
    assert (result.call_id, result.value, result.usage) == (pending.call.id, 42, Usage(3, 2, None, 1))
    assert await pending.result() == result


async def test_chunks_come_in_order_and_end() -> None:
    """A reader gets every chunk, numbered from 0, then the end."""
    pending = FakeBackend({"five": five}).submit(Call("five", stream=True, credit=2))
    chunks = [chunk async for chunk in pending]
    assert [(chunk.seq, chunk.text, chunk.field) for chunk in chunks] == [(n, str(n), "text") for n in range(5)]
    assert (await pending.result()).value == "done"


async def test_a_producer_waits_for_credit() -> None:
    """No more chunks than the credit are made before somebody reads."""
    made: list[int] = []

    async def handler(call: FakeCall) -> None:
        for number in range(10):
            await call.emit(str(number))
            made.append(number)

    backend = FakeBackend({"ten": handler}, clock=(clock := FakeClock()))
    pending = backend.submit(Call("ten", stream=True, credit=3))
    await clock.settle()
    assert made == [0, 1, 2]
    assert len([chunk async for chunk in pending]) == 10


@pytest.mark.parametrize("stream", [True, False])
async def test_result_drops_what_is_not_read(stream: bool) -> None:
    """Who only waits for the end does not hold the producer up."""
    assert (await FakeBackend({"five": five}).submit(Call("five", stream=stream, credit=1)).result()).value == "done"


async def test_a_cancelled_call_raises_cancelled() -> None:
    """cancel() ends the call, also one that had not begun, and iteration with it."""
    backend = FakeBackend({"forever": forever})
    pending = backend.submit(Call("forever", stream=True))
    pending.cancel()
    assert [chunk async for chunk in pending] == []
    with pytest.raises(Cancelled):
        await pending.result()
    assert backend.statistics().in_flight == 0


async def test_cancelling_the_wait_cancels_the_call() -> None:
    """A task that is cancelled in result() takes the call with it."""
    backend = FakeBackend({"forever": forever}, clock=(clock := FakeClock()))
    pending = backend.submit(Call("forever"))
    waiting = asyncio.ensure_future(asyncio.wait_for(pending.result(), 60))
    await clock.settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(Cancelled):
        await pending.result()


async def test_a_call_that_takes_too_long_is_ended() -> None:
    """timeout_s is the injected clock's."""
    backend = FakeBackend({"forever": forever}, clock=(clock := FakeClock()))
    pending = backend.submit(Call("forever", timeout_s=5.0))
    await clock.wait_for_sleepers()
    clock.advance(5.0)
    with pytest.raises(DeadlineExceeded):
        await pending.result()


async def test_errors_of_the_house_are_as_they_are_and_others_python_errors() -> None:
    """A handler's LabError is the call's error, any other exception a PythonError with its type."""

    def missing(call: FakeCall) -> None:
        raise ModelError("no such model")

    def wrong(call: FakeCall) -> None:
        raise KeyError("x")

    backend = FakeBackend({"missing": missing, "wrong": wrong})
    with pytest.raises(ModelError):
        await backend.submit(Call("missing")).result()
    with pytest.raises(PythonError) as caught:
        await backend.submit(Call("wrong")).result()
    assert caught.value.error_type == "KeyError"


async def test_an_unknown_operation_or_request_is_a_protocol_error() -> None:
    """What was not scripted is said so."""
    backend = FakeBackend(replies={"status": {"pools": []}, "resize": lambda size: size})
    with pytest.raises(ProtocolError):
        await backend.submit(Call("nothing")).result()
    with pytest.raises(ProtocolError):
        await backend.request("nothing")
    assert await backend.request("status") == {"pools": []}
    assert await backend.request("resize", size=3) == 3


async def test_closing_ends_everything() -> None:
    """Calls under way raise Cancelled; later ones are refused by their handle; closing twice is fine."""
    backend = FakeBackend({"forever": forever})
    pending = [backend.submit(Call("forever")) for _ in range(3)]
    await backend.aclose()
    await backend.aclose()
    for one in pending:
        with pytest.raises(Cancelled):
            await one.result()
    with pytest.raises(HostUnavailable):
        await backend.submit(Call("forever")).result()
    statistics = backend.statistics()
    assert (statistics.is_open, statistics.calls, statistics.failed, statistics.in_flight) == (False, 4, 4, 0)
