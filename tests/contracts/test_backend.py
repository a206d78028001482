"""The contract of every place where a call can run, held against this process and against a real pool host.

What only one place promises is tested in that place's own file.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from dspex_lab.backends.base import Backend, PendingCall
from dspex_lab.backends.inline import InlineBackend
from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.calls import Call
from dspex_lab.errors import Cancelled, DeadlineExceeded, LabError, ProtocolError, PythonError, ValidationError
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.testing.site import Site, python_call, until

#: A second, as the design promises it, and what a loaded machine may add.
A_SECOND_S = 2.5
POOLS = (PoolSpec(name="general", size=2, min_ready=1), PoolSpec(name="narrow", size=1, min_ready=1))


@pytest.fixture(scope="module", autouse=True)  # set up before any test looks for leaks
def host() -> Iterator[Settings]:
    """One host for all tests of this file: starting one takes seconds."""
    site = Site()
    settings = site.settings(*POOLS)

    async def start() -> None:
        backend = KernelBackend(settings)
        await backend.open()
        for name in ("general", "narrow"):
            await backend.submit(Call("system.echo", {"value": name}, pool=name)).result()
        await backend.aclose()

    asyncio.run(start())
    yield settings
    site.end()


async def error_of(pending: PendingCall, *, limit_s: float = 10.0) -> LabError:
    with pytest.raises(LabError) as caught:
        async with asyncio.timeout(limit_s):
            await pending.result()
    return caught.value


# --- what workers run ---------------------------------------------------------------------------------------------


def add(a: int, b: int) -> int:
    return a + b


def fail(message: str) -> None:
    raise ValueError(message)


def count(number: int, mark: str) -> Iterator[str]:
    for index in range(number):
        with Path(mark).open("a") as made:  # its size is never half written
            made.write("x")
        yield f"{index} "


def spin(mark: str) -> None:
    Path(mark).touch()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pass


def nap(mark: str, seconds: float) -> None:
    Path(mark).touch()
    time.sleep(seconds)


def touch(mark: str) -> None:
    Path(mark).touch()


async def wait_long(mark: str) -> None:
    touch(mark)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        touch(f"{mark}.cancelled")
        raise


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


# --- results and errors -------------------------------------------------------------------------------------------


async def test_a_call_comes_back_with_its_value(backend: Backend) -> None:
    """The result carries the call's own id and the value that the operation gave."""
    call = Call("system.echo", {"value": {"text": "é", "numbers": [1, 2.5, None], "raw": b"\x00"}})
    result = await backend.submit(call).result()
    assert (result.call_id, result.value) == (call.id, call.args["value"])


async def test_a_user_function_runs_with_its_arguments(backend: Backend) -> None:
    """Code goes out by value, its value comes back as data."""
    assert (await backend.submit(python_call(add, 2, 3)).result()).value == 5


async def test_a_coroutine_function_runs_to_its_end(backend: Backend) -> None:
    """A coroutine function is awaited, and its value comes back."""
    assert (await backend.submit(python_call(double, 21)).result()).value == 42


async def test_times_are_seconds_that_passed(backend: Backend) -> None:
    """run_s and queue_s are not negative, and together no more than what the caller saw."""
    before = time.monotonic()
    result = await backend.submit(Call("system.echo", {"value": 1})).result()
    assert 0 <= result.run_s + result.queue_s <= time.monotonic() - before


async def test_many_calls_each_get_their_own_value(backend: Backend) -> None:
    """Answers find their calls, however many are under way."""
    pending = [backend.submit(Call("system.echo", {"value": number})) for number in range(200)]
    values = [(await one.result()).value for one in pending]
    assert values == list(range(200))


async def test_an_exception_comes_back_with_its_type_and_traceback(backend: Backend) -> None:
    """What the user's function raises is a PythonError with the user's own frames."""
    error = await error_of(backend.submit(python_call(fail, "no such ticket")))
    assert isinstance(error, PythonError)
    assert (error.message, error.error_type) == ("ValueError: no such ticket", "ValueError")
    assert "in fail" in error.traceback


@pytest.mark.parametrize("op", ["system.nothing_of_the_kind", "nowhere.at_all", ""])
async def test_an_unknown_operation_is_a_protocol_error(backend: Backend, op: str) -> None:
    """A worker says which operation it does not know, and serves the next call."""
    assert isinstance(await error_of(backend.submit(Call(op))), ProtocolError)
    assert (await backend.submit(Call("system.echo", {"value": 1})).result()).value == 1


@pytest.mark.parametrize("value", [object(), "\ud800", 2**70, 1j], ids=["object", "surrogate", "large", "complex"])
async def test_arguments_that_cannot_travel_end_the_call_at_once(backend: Backend, value: object) -> None:
    """Arguments that have no form as bytes are a ValidationError, told by the handle."""
    pending = backend.submit(Call("system.echo", {"value": value}))
    assert isinstance(await error_of(pending), ValidationError)


async def test_a_value_that_cannot_travel_is_the_error(backend: Backend) -> None:
    """A function whose value is no plain data fails with a ValidationError."""
    assert isinstance(await error_of(backend.submit(python_call(object))), ValidationError)


def fail_with_a_surrogate() -> None:
    raise ValueError("file \udcff")


def fail_with_an_object() -> None:
    raise ValidationError("wrong", ({"field": "a", "message": "no", "input": object()},))


def leave() -> None:
    sys.exit(3)


async def leave_later() -> None:
    await asyncio.sleep(0)
    sys.exit(3)


@pytest.mark.parametrize("function", [fail_with_a_surrogate, fail_with_an_object, leave, leave_later])
async def test_whatever_is_raised_ends_the_call_and_not_the_worker(
    backend: Backend, function: Callable[[], None]
) -> None:
    """Errors that have no form as bytes, and sys.exit(), are errors of their call alone."""
    error = await error_of(backend.submit(python_call(function, pool="narrow")))
    assert isinstance(error, PythonError | ValidationError)
    assert (await backend.submit(Call("system.echo", {"value": 1}, pool="narrow")).result()).value == 1


# --- streams ------------------------------------------------------------------------------------------------------


async def test_chunks_come_in_order_and_end_with_the_call(backend: Backend, tmp_path: Path) -> None:
    """Every chunk arrives, numbered from 0 in the order in which it was made."""
    pending = backend.submit(python_call(count, 200, str(tmp_path / "mark"), stream=True, credit=8))
    chunks = [chunk async for chunk in pending]
    assert [chunk.seq for chunk in chunks] == list(range(200))
    assert "".join(chunk.text for chunk in chunks) == "".join(f"{index} " for index in range(200))
    await pending.result()


async def test_a_slow_reader_bounds_what_is_sent(backend: Backend, tmp_path: Path) -> None:
    """With credit for 4, a producer makes no more than the 4 that may be under way and the one that waits."""
    mark = tmp_path / "mark"
    pending = backend.submit(python_call(count, 100, str(mark), stream=True, credit=4))
    await until(lambda: mark.exists() and mark.stat().st_size >= 4)
    for _ in range(20):  # time for a producer that does not keep to it
        await backend.submit(Call("system.echo", {"value": 1})).result()
    assert mark.stat().st_size <= 5
    assert len([chunk async for chunk in pending]) == 100


async def test_a_call_without_stream_sends_no_chunks(backend: Backend, tmp_path: Path) -> None:
    """Chunks come only to those who asked for them."""
    pending = backend.submit(python_call(count, 5, str(tmp_path / "mark")))
    assert [chunk async for chunk in pending] == []
    await pending.result()


async def test_result_takes_the_place_of_a_reader(backend: Backend, tmp_path: Path) -> None:
    """Who only waits for the end does not hold the producer up, whatever the credit."""
    pending = backend.submit(python_call(count, 100, str(tmp_path / "mark"), stream=True, credit=1))
    async with asyncio.timeout(10):
        await pending.result()
    assert (tmp_path / "mark").stat().st_size == 100


async def test_a_stream_that_fails_ends_its_iteration(backend: Backend) -> None:
    """Iteration raises nothing; the error is the result's."""

    def break_off() -> Iterator[str]:
        yield "a"
        raise ValueError("broken off")

    pending = backend.submit(python_call(break_off, stream=True))
    assert [chunk.text async for chunk in pending] == ["a"]
    assert isinstance(await error_of(pending), PythonError)


# --- cancel -------------------------------------------------------------------------------------------------------


async def begin(backend: Backend, function: Callable[..., Any], mark: Path, *args: Any, **fields: Any) -> PendingCall:
    """Submit ``function(mark, *args)`` and wait until it runs."""
    pending = backend.submit(python_call(function, str(mark), *args, **fields))
    await until(mark.exists)
    return pending


async def test_an_asynchronous_operation_is_cancelled_as_a_task(backend: Backend, tmp_path: Path) -> None:
    """The coroutine sees CancelledError, the caller Cancelled, within a second; the next call is served."""
    pending = await begin(backend, wait_long, tmp_path / "mark")
    pending.cancel()
    assert isinstance(await error_of(pending, limit_s=A_SECOND_S), Cancelled)
    await until((tmp_path / "mark.cancelled").exists)
    assert (await backend.submit(Call("system.echo", {"value": 1})).result()).value == 1


async def test_a_python_loop_is_cancelled_within_a_second(backend: Backend, tmp_path: Path) -> None:
    """A synchronous function is Cancelled for its caller, whatever it does."""
    if isinstance(backend, InlineBackend):
        pending = await begin(backend, nap, tmp_path / "mark", 1.0)
    else:
        pending = await begin(backend, spin, tmp_path / "mark")
    pending.cancel()
    assert isinstance(await error_of(pending, limit_s=A_SECOND_S), Cancelled)


async def test_a_call_that_waits_is_cancelled_at_once(backend: Backend, tmp_path: Path) -> None:
    """A call that did not begin yet never does."""
    running = await begin(backend, nap, tmp_path / "first", 0.5, pool="narrow")
    waiting = backend.submit(python_call(nap, str(tmp_path / "second"), 0.0, pool="narrow"))
    waiting.cancel()
    assert isinstance(await error_of(waiting, limit_s=0.4), Cancelled)
    await running.result()
    assert not (tmp_path / "second").exists()


async def test_cancelling_the_wait_cancels_the_call(backend: Backend, tmp_path: Path) -> None:
    """Who is cancelled in result() waits for nothing more, and the operation ends too."""
    pending = await begin(backend, wait_long, tmp_path / "mark")
    waiter = asyncio.create_task(_wait(pending.result()))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    await until((tmp_path / "mark.cancelled").exists)


async def _wait(work: Coroutine[Any, Any, object]) -> None:
    await work


async def test_cancel_twice_and_after_the_end_changes_nothing(backend: Backend) -> None:
    """cancel() is for good and for nothing once the call ended."""
    pending = backend.submit(Call("system.echo", {"value": 1}))
    result = await pending.result()
    pending.cancel()
    pending.cancel()
    assert await pending.result() == result


async def test_a_stream_that_waits_for_credit_is_cancelled(backend: Backend, tmp_path: Path) -> None:
    """A producer held up by its reader ends with the call."""
    pending = backend.submit(python_call(count, 100, str(tmp_path / "mark"), stream=True, credit=2))
    await until(lambda: (tmp_path / "mark").exists())
    pending.cancel()
    async with asyncio.timeout(A_SECOND_S):
        async for _ in pending:
            pass
    assert isinstance(await error_of(pending, limit_s=A_SECOND_S), Cancelled)


# --- deadlines ----------------------------------------------------------------------------------------------------


async def test_a_running_call_ends_at_its_deadline(backend: Backend, tmp_path: Path) -> None:
    """The caller is told soon after timeout_s, and not before."""
    started = time.monotonic()
    pending = await begin(backend, wait_long, tmp_path / "mark", timeout_s=0.3)
    assert isinstance(await error_of(pending, limit_s=A_SECOND_S), DeadlineExceeded)
    assert time.monotonic() - started >= 0.3
    await until((tmp_path / "mark.cancelled").exists)


async def test_the_queue_counts_against_the_deadline(backend: Backend, tmp_path: Path) -> None:
    """A call whose time was up while it waited never runs."""
    running = await begin(backend, nap, tmp_path / "first", 0.8, pool="narrow")
    late = backend.submit(python_call(nap, str(tmp_path / "second"), 0.0, pool="narrow", timeout_s=0.2))
    assert isinstance(await error_of(late, limit_s=A_SECOND_S), DeadlineExceeded)
    await running.result()
    await backend.submit(python_call(add, 1, 1, pool="narrow")).result()
    assert not (tmp_path / "second").exists()


# --- books and the end --------------------------------------------------------------------------------------------


async def test_the_books_balance(backend: Backend, tmp_path: Path) -> None:
    """calls = succeeded + failed + in_flight at any time, and at the end nothing is under way."""
    pending = [
        backend.submit(Call("system.echo", {"value": 1})),
        backend.submit(python_call(fail, "x")),
        backend.submit(Call("system.echo", {"value": object()})),
        await begin(backend, wait_long, tmp_path / "mark"),
    ]
    during = backend.statistics()
    assert during.calls == during.succeeded + during.failed + during.in_flight == 4
    pending[-1].cancel()
    await asyncio.gather(*(_wait(one.result()) for one in pending), return_exceptions=True)
    after = backend.statistics()
    assert (after.succeeded, after.failed, after.in_flight) == (1, 3, 0)


async def test_closing_ends_every_call_with_cancelled(backend: Backend, tmp_path: Path) -> None:
    """After aclose() nothing is under way; closing twice is closing once."""
    running = await begin(backend, wait_long, tmp_path / "mark")
    waiting = [backend.submit(python_call(wait_long, str(tmp_path / "other"), pool="narrow")) for _ in range(3)]
    await backend.aclose()
    for one in [running, *waiting]:
        assert isinstance(await error_of(one, limit_s=A_SECOND_S), Cancelled)
    await backend.aclose()
    statistics = backend.statistics()
    assert (statistics.is_open, statistics.in_flight) == (False, 0)
    await until((tmp_path / "mark.cancelled").exists)


async def test_a_call_after_the_end_is_refused_by_its_handle(backend: Backend) -> None:
    """submit() never raises: a closed backend tells it by the handle."""
    await backend.aclose()
    assert isinstance(await error_of(backend.submit(Call("system.echo", {"value": 1}))), LabError)


async def test_status_is_plain_data(backend: Backend) -> None:
    """request("status") names the pools and what is under way."""
    status = await backend.request("status")
    assert {"pid", "in_flight", "pools", "clients"} <= status.keys()


async def test_an_unknown_order_is_a_protocol_error(backend: Backend) -> None:
    """What the place does not know how to do is refused, not guessed."""
    with pytest.raises(ProtocolError):
        await backend.request("make.coffee")


async def test_its_repr_is_a_status_line(backend: Backend) -> None:
    """repr() says what it is and what is under way."""
    assert repr(backend).startswith(f"<{type(backend).__name__} [")
