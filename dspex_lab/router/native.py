"""The native route: a user's function, in this process and off the event loop.

A plain function runs on a thread, so that one that blocks stops neither tokens nor a cancel; a cancelled one is left
to end by itself. Knows nothing of calls and backends.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from dspex_lab.clock import Clock
from dspex_lab.errors import DeadlineExceeded

__all__ = ["call_function", "call_plain", "told_as_error", "within"]

T = TypeVar("T")


async def call_function(function: Callable[..., Any], inputs: Mapping[str, Any]) -> Any:
    """``function(**inputs)``, plain or asynchronous. Raises what the function raises."""
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return await function(**inputs)
    # With a limiter of its own: functions that never end must hold up no others.
    value = await anyio.to_thread.run_sync(
        partial(call_plain, partial(function, **inputs)), abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
    )
    return await value if inspect.isawaitable(value) else value


def call_plain(function: Callable[[], T]) -> T:
    """The value of a user's function. Raises what it raises, if it is an error to an event loop too."""
    try:
        return function()
    except (SystemExit, KeyboardInterrupt, StopIteration, asyncio.CancelledError) as error:
        raise told_as_error(error) from error


def told_as_error(error: BaseException) -> RuntimeError:
    """What would mean something to an event loop, which the user's function did not ask to stop, as an error."""
    return RuntimeError(f"{type(error).__name__} was raised: {error}")


async def within(clock: Clock, timeout_s: float | None, work: Coroutine[Any, Any, T], *, name: str) -> T:
    """The value of ``work``, or ``DeadlineExceeded`` after ``timeout_s`` seconds; None: no limit."""
    if timeout_s is None:
        return await work
    task = asyncio.ensure_future(work)
    timer = asyncio.ensure_future(clock.sleep(timeout_s))
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise DeadlineExceeded(f"{name} took longer than {timeout_s:g} s.", hint="Give it more with timeout_s=.")
    finally:
        timer.cancel()
        if not task.done():
            task.cancel()
            task.add_done_callback(_take_error)


def _take_error(task: asyncio.Future[Any]) -> None:
    # Nobody waits for a task that was given up; asking for its error keeps asyncio from reporting it as lost.
    if not task.cancelled():
        task.exception()
