"""The calls that an operation makes: they end with it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

import pytest

from dspex_lab.calls import Call
from dspex_lab.errors import Cancelled, LabError
from dspex_lab.wire.messages import Cancel, Done
from dspex_lab.worker.context import OpContext

from .conftest import Bench


async def test_the_calls_of_a_cancelled_operation_are_cancelled(bench: Bench, ops: Callable[..., None]) -> None:
    """Also those that its threads wait for; and they begin no other."""
    begun, ends = asyncio.Event(), []

    def work(context: OpContext) -> None:
        async def ask() -> None:
            pending = context.submit(Call("system.echo"))
            begun.set()
            await pending.result()

        def ask_on() -> None:
            for _ in range(3):
                try:
                    context.on_services(ask()).result(10)
                except LabError as error:
                    ends.append(error.message)

        thread = threading.Thread(target=ask_on)
        thread.start()
        thread.join(10)

    ops(work)
    bench.run("test.work")
    async with asyncio.timeout(5):
        await begun.wait()
    bench.dispatcher.receive(Cancel("c"), ())
    await bench.wait_for(Done)  # nothing interrupts a function off the main thread
    assert len(bench.nested) == 1
    assert ends[0] == "the nested call was cancelled"
    assert ends[1:] == ["test.work has ended, and makes no calls any more."] * 2


async def test_who_outlives_its_call_makes_no_calls(bench: Bench, ops: Callable[..., None]) -> None:
    """A thread that was left behind by a call that ended well gets no further either."""
    contexts: list[OpContext] = []

    def keep(context: OpContext) -> None:
        contexts.append(context)

    ops(keep)
    bench.run("test.keep")
    await bench.value()
    with pytest.raises(Cancelled):
        contexts[0].submit(Call("system.echo"))
    assert bench.nested == []


async def test_a_nested_call_names_the_one_that_makes_it(bench: Bench, ops: Callable[..., None]) -> None:
    """The host takes its urgency and its turn from there."""

    async def ask(context: OpContext) -> None:
        nested = context.submit(Call("system.echo"))
        nested.cancel()
        with contextlib.suppress(Cancelled):
            await nested.result()

    ops(ask, "services")
    bench.run("test.ask")
    await bench.value()
    assert [nested.call.parent for nested in bench.nested] == ["c"]
