"""The end of a call, for everybody who waits for it or wants to hear of it."""

from __future__ import annotations

import asyncio

import pytest

from dspex_lab.calls import Call
from dspex_lab.errors import PythonError
from dspex_lab.wire.caller import Caller
from dspex_lab.wire.codec import encode
from dspex_lab.wire.messages import Done, Failed


@pytest.fixture
async def caller() -> Caller:
    """What it sends goes nowhere."""
    return Caller(lambda message, payload: None)


async def test_everybody_who_waits_gets_the_end(caller: Caller) -> None:
    """Several may wait for one call, before its end and after it."""
    call = Call("system.echo")
    pending = caller.submit(call)
    waiting = [asyncio.create_task(pending.result()) for _ in range(3)]
    await asyncio.sleep(0)
    caller.receive(Done(call.id), encode(7))
    assert [result.value for result in await asyncio.gather(*waiting)] == [7, 7, 7]
    assert (await pending.result()).value == 7


async def test_the_end_is_told_to_early_and_to_late_listeners(caller: Caller) -> None:
    """Once to each, soon: never while whoever ends it is still at it."""
    call, told = Call("system.echo"), list[str]()
    pending = caller.submit(call)
    pending.on_end(lambda: told.append("early"))
    caller.receive(Done(call.id), encode(None))
    pending.on_end(lambda: told.append("late"))
    assert not told
    await asyncio.sleep(0)
    assert told == ["early", "late"]


async def test_ends_are_counted(caller: Caller) -> None:
    """Good ones and bad ones, each once."""
    good, bad = Call("system.echo"), Call("system.echo")
    caller.submit(good)
    caller.submit(bad)
    caller.receive(Done(good.id), encode(None))
    caller.receive(Done(good.id), encode(None))
    caller.receive(Failed(bad.id, PythonError("No.").to_dict()), ())
    assert (caller.succeeded, caller.failed) == (1, 1)


async def test_who_gives_up_waiting_leaves_nothing(caller: Caller) -> None:
    """A call may be looked at again and again, for a moment each time; its end comes all the same."""
    call = Call("system.echo")
    pending = caller.submit(call)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pending.result(), timeout=0.001)
    assert not pending._waiters
    caller.receive(Done(call.id), encode(7))
    assert (await pending.result()).value == 7
