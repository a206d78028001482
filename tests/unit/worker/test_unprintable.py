"""Errors whose own code raises, and answers that cannot be sent: each ends its call, and the loops go on."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from dspex_lab.calls import Usage
from dspex_lab.errors import LabError, ProtocolError
from dspex_lab.wire.framing import Frames, pack
from dspex_lab.wire.messages import Message
from dspex_lab.worker.context import OpContext

from .conftest import Bench


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Worse(Unprintable):
    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__


def odd_lab_error() -> LabError:
    error = ProtocolError("odd")
    error.message = Unprintable()  # type: ignore[assignment]
    return error


@pytest.mark.parametrize("runs_on", ["main", "services"])
@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("make", [Unprintable, Worse, odd_lab_error])
async def test_an_error_that_cannot_be_shown_ends_its_call(
    bench: Bench, ops: Callable[..., None], make: Callable[[], BaseException], runs_on: str, *, is_async: bool
) -> None:
    """What its own code raises when it is asked for its text is nobody's trouble: the class is told, and both loops go
    on."""

    def fail(context: OpContext) -> None:
        raise make()

    async def fail_later(context: OpContext) -> None:
        raise make()

    function = fail_later if is_async or runs_on == "services" else fail
    ops(function, runs_on)
    bench.run(f"test.{function.__name__}")
    assert type(make()).__name__ in repr(await bench.error())
    bench.run("system.echo", call_id="next", value=1)
    assert await bench.value("next") == 1


async def test_an_errors_own_code_runs_where_user_code_does(bench: Bench, ops: Callable[..., None]) -> None:
    """The services loop, with the heartbeat, never waits for it."""
    asked: list[str] = []

    class Curious(Exception):
        def __str__(self) -> str:
            asked.append(threading.current_thread().name)
            return "curious"

    async def fail(context: OpContext) -> None:
        raise Curious

    ops(fail)
    bench.run("test.fail")
    assert (await bench.error()).message == "Curious: curious"
    assert set(asked) == {"dspex-lab"}


async def test_an_answer_that_cannot_be_sent_ends_the_call(bench: Bench, ops: Callable[..., None]) -> None:
    """Figures that have no form as bytes are the call's error."""

    def use(context: OpContext) -> None:
        context.add_usage(Usage(2**70))

    def send(message: Message, payload: Frames) -> None:
        pack(message, payload)
        bench._send(message, payload)

    ops(use)
    bench.dispatcher.send = send
    bench.run("test.use")
    assert "OverflowError" in (await bench.error()).message
