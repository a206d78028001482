"""The dispatcher on two loops: every execution ends once, where it runs and however it is stopped."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dspex_lab.calls import Code, TraceContext, Usage
from dspex_lab.errors import ProtocolError
from dspex_lab.wire.codec import encode
from dspex_lab.wire.messages import Cancel, ChunkOut, Credit, Done, Run, Started, Welcome
from dspex_lab.worker.context import OpContext, current_context
from dspex_lab.worker.dispatch import MAX_CHUNK_CHARS
from dspex_lab.worker.ops.base import find_operation

from .conftest import Bench


def say(word: str) -> str:
    return f"{word} from {threading.current_thread().name}"


async def say_later(word: str) -> str:
    await asyncio.sleep(0)
    return say(word)


# --- where operations run -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [say, say_later])
async def test_user_code_runs_on_the_main_loops_thread(bench: Bench, function: Callable[[str], Any]) -> None:
    """Plain functions and coroutines alike."""
    bench.run("python.call", function=Code(function), args=["hi"])
    assert await bench.value() == "hi from dspex-lab"


async def test_our_own_operations_run_on_the_services_loop(bench: Bench, ops: Callable[..., None]) -> None:
    """runs_on="services" is this very thread."""

    async def where(context: OpContext) -> int:
        return threading.get_ident()

    ops(where, "services")
    bench.run("test.where")
    assert await bench.value() == threading.get_ident()


@pytest.mark.parametrize(
    ("function", "kinds"),
    [(say, ["signal"]), (say_later, []), (lambda word: say_later(word), ["signal", "task"])],
    ids=["plain", "asynchronous", "turns out to be asynchronous"],
)
async def test_started_says_how_to_stop_it(bench: Bench, function: Callable[[str], Any], kinds: list[str]) -> None:
    """The last word names the way that reaches what runs now; what a message stops needs none."""
    bench.run("python.call", function=Code(function), args=["hi"])
    await bench.value()
    assert [one.interruptible for one in bench.all(Started)] == kinds


async def test_the_context_is_there_on_every_loop(bench: Bench, ops: Callable[..., None]) -> None:
    """current_context is the operation's own, in plain and in asynchronous code."""

    def look(context: OpContext) -> list[Any]:
        return [current_context.get() is context, context.call_id, (context.deadline or 0) > time.time()]

    async def look_later(context: OpContext) -> list[Any]:
        await asyncio.sleep(0)
        return look(context)

    ops(look)
    bench.run("test.look")
    assert await bench.value() == [True, "c", True]
    for call_id, runs_on in (("main", "main"), ("services", "services")):
        ops(look_later, runs_on)
        bench.run("test.look_later", call_id=call_id)
        assert await bench.value(call_id) == [True, call_id, True]


async def test_the_trace_of_the_caller_is_the_operations(bench: Bench, ops: Callable[..., None]) -> None:
    """An operation's spans hang under its caller's."""

    def trace(context: OpContext) -> bool:
        return context.trace == TraceContext("t" * 32, "s" * 16)

    ops(trace)
    bench.run("test.trace")
    assert await bench.value() is True


async def test_usage_is_counted(bench: Bench, ops: Callable[..., None]) -> None:
    """What the operation adds up is in its Done."""

    def use(context: OpContext) -> None:
        context.add_usage(Usage(1, 2, 0.5, 1))
        context.add_usage(Usage(10, 20, None, 1))

    ops(use)
    bench.run("test.use")
    done = await bench.wait_for(Done)
    assert (done.input_tokens, done.output_tokens, done.cost, done.lm_calls) == (11, 22, 0.5, 2)


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["no.such", "", ".", "base.x"])
async def test_an_unknown_operation_is_a_protocol_error(bench: Bench, op: str) -> None:
    """Its name is in the message."""
    bench.run(op)
    error = await bench.error()
    assert isinstance(error, ProtocolError)
    assert repr(op) in error.message


def test_an_operations_module_that_does_not_import_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is there and lacks something is not an unknown operation."""

    def fail(name: str) -> None:
        raise ModuleNotFoundError("No module named 'nowhere'", name="nowhere")

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        find_operation("never.seen")


async def test_arguments_that_are_no_mapping_are_a_protocol_error(bench: Bench) -> None:
    """A list of arguments is none."""
    bench.dispatcher.receive(Run(id="c", op="system.echo"), encode([1]))
    assert isinstance(await bench.error(), ProtocolError)


async def test_wrong_arguments_are_the_calls_own_error(bench: Bench) -> None:
    """An argument that the operation does not know fails the call."""
    bench.run("system.echo", nonsense=1)
    assert "TypeError" in (await bench.error()).message


async def test_a_message_of_another_kind_is_a_protocol_error(bench: Bench) -> None:
    """A worker has no use for a Welcome."""
    with pytest.raises(ProtocolError):
        bench.dispatcher.receive(Welcome(1, "h", 1), ())


# --- streams ------------------------------------------------------------------------------------------------------


async def test_emitting_waits_for_credit(bench: Bench, ops: Callable[..., None]) -> None:
    """No more chunks than the reader has room for; each credit lets as many more go."""

    async def stream(context: OpContext) -> None:
        for number in range(5):
            await context.emit("answer", str(number))

    ops(stream, "services")
    bench.run("test.stream", stream=True, credit=2)
    await bench.wait_for(ChunkOut, count=2)
    await asyncio.sleep(0)
    assert len(bench.all(ChunkOut)) == 2
    bench.dispatcher.receive(Credit("c", 1), ())
    await bench.wait_for(ChunkOut, count=3)
    assert len(bench.all(ChunkOut)) == 3
    bench.dispatcher.receive(Credit("c", 9), ())
    await bench.wait_for(Done)
    assert [(one.seq, one.text, one.field) for one in bench.all(ChunkOut)] == [
        (number, str(number), "answer") for number in range(5)
    ]


@pytest.mark.parametrize("stream", [True, False])
async def test_nothing_is_sent_that_nobody_asked_for(bench: Bench, ops: Callable[..., None], *, stream: bool) -> None:
    """Without stream there are no chunks, and an empty text is none."""

    async def stream_something(context: OpContext) -> None:
        await context.emit("", "")
        await context.emit("", "text")

    ops(stream_something, "services")
    bench.run("test.stream_something", stream=stream)
    await bench.wait_for(Done)
    assert len(bench.all(ChunkOut)) == int(stream)


async def test_a_long_text_is_several_chunks(bench: Bench, ops: Callable[..., None]) -> None:
    """The reader's room is counted in chunks, and so one chunk has a bound; each takes its own credit."""
    text = "".join(map(str, range(30_000)))

    async def stream(context: OpContext) -> None:
        await context.emit("answer", text)

    ops(stream, "services")
    bench.run("test.stream", stream=True, credit=2)
    await bench.wait_for(ChunkOut, count=2)
    await asyncio.sleep(0)
    assert len(bench.all(ChunkOut)) == 2
    bench.dispatcher.receive(Credit("c", 9), ())
    await bench.wait_for(Done)
    chunks = bench.all(ChunkOut)
    assert [one.seq for one in chunks] == [0, 1, 2]
    assert "".join(one.text for one in chunks) == text
    assert max(len(one.text) for one in chunks) == MAX_CHUNK_CHARS


# --- cancel -------------------------------------------------------------------------------------------------------


async def test_a_services_operation_is_cancelled(bench: Bench, ops: Callable[..., None]) -> None:
    """It sees CancelledError, and the call ends with Cancelled."""

    begun = asyncio.Event()

    async def wait(context: OpContext) -> None:
        begun.set()
        await asyncio.sleep(60)

    ops(wait, "services")
    bench.run("test.wait")
    async with asyncio.timeout(5):
        await begun.wait()
    bench.dispatcher.receive(Cancel("c"), ())
    assert type(await bench.error()).__name__ == "Cancelled"


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_cancel_right_after_the_call_stops_it(bench: Bench, tmp_path: Path, *, is_async: bool) -> None:
    """Run and Cancel in one breath: the function never runs."""
    mark = tmp_path / "mark"

    async def touch_later() -> None:
        mark.touch()

    bench.run("python.call", function=Code(touch_later if is_async else mark.touch))
    bench.dispatcher.receive(Cancel("c"), ())
    assert type(await bench.error()).__name__ == "Cancelled"
    assert not mark.exists()


async def test_the_call_ends_when_its_task_does(bench: Bench, ops: Callable[..., None]) -> None:
    """A task that takes its time to stop keeps its call under way until then."""
    begun, may_go = asyncio.Event(), threading.Event()

    async def linger(context: OpContext) -> None:
        context.services.call_soon_threadsafe(begun.set)
        try:
            await asyncio.sleep(60)
        finally:
            while not may_go.is_set():  # noqa: ASYNC110 - set from another thread
                await asyncio.sleep(0.001)

    ops(linger)
    bench.run("test.linger")
    async with asyncio.timeout(5):
        await begun.wait()
    bench.dispatcher.receive(Cancel("c"), ())
    bench.run("system.echo", call_id="other", value=1)
    await bench.value("other")
    assert bench.dispatcher.in_flight == 1
    may_go.set()
    assert type(await bench.error()).__name__ == "Cancelled"


async def test_who_waits_for_the_main_thread_asks_for_no_signal(bench: Bench, ops: Callable[..., None]) -> None:
    """A plain call behind another says Started when it begins, so that an interrupt never hits the other; cancelled
    before that it ends at once."""
    may_go = threading.Event()

    def hold(context: OpContext) -> bool:
        return may_go.wait(10)

    ops(hold)
    bench.run("test.hold", call_id="first")
    await bench.wait_for(Started, "first")
    bench.run("test.hold", call_id="second")
    await asyncio.sleep(0)
    assert bench.all(Started, "second") == []
    bench.dispatcher.receive(Cancel("second"), ())
    assert type(await bench.error("second")).__name__ == "Cancelled"
    assert bench.all(Started, "second") == []
    may_go.set()
    assert await bench.value("first") is True


async def test_a_plain_stream_that_nobody_reads_ends_with_its_cancel(bench: Bench) -> None:
    """Held up by credit, it needs no signal to stop."""

    def count() -> Any:
        for number in range(100):
            yield str(number)

    bench.run("python.call", function=Code(count), stream=True, credit=2)
    await bench.wait_for(ChunkOut, count=2)
    bench.dispatcher.receive(Cancel("c"), ())
    assert type(await bench.error()).__name__ == "Cancelled"


async def test_cancel_and_credit_of_unknown_calls_are_dropped(bench: Bench) -> None:
    """They crossed the end on their way."""
    bench.dispatcher.receive(Cancel("unknown"), ())
    bench.dispatcher.receive(Credit("unknown", 1), ())
    assert bench.sent == []


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration("x"), asyncio.CancelledError()])
@pytest.mark.parametrize("is_async", [True, False])
async def test_whatever_is_raised_ends_the_call_alone(bench: Bench, error: BaseException, *, is_async: bool) -> None:
    """sys.exit() and its like are an error of their call; both loops go on."""

    def fail() -> None:
        raise error

    async def fail_later() -> None:
        raise error

    bench.run("python.call", function=Code(fail_later if is_async else fail))
    await bench.error()
    bench.run("python.call", call_id="next", function=Code(say), args=["on"])
    assert "on" in await bench.value("next")
