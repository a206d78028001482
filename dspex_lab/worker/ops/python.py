"""Any function of the user's: plain, asynchronous, or a generator whose text streams."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

from dspex_lab.worker.context import OpContext
from dspex_lab.worker.ops.base import operation

__all__ = ["call"]


@operation("python.call")
def call(
    context: OpContext, function: Callable[..., Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> Any:
    """``function(*args, **kwargs)`` on the worker's main thread, where an interrupt reaches it.

    A coroutine is handed back for the main loop to run. Of a generator the items are the value, as a list; those that
    are text are streamed as they come.
    """
    value = function(*args, **(kwargs or {}))
    if inspect.isgenerator(value):
        return _drain(context, value)
    if inspect.isasyncgen(value):
        return _drain_async(context, value)
    return value


def _drain(context: OpContext, items: Iterator[Any]) -> list[Any]:
    taken = []
    for item in items:
        taken.append(item)
        if isinstance(item, str):
            context.on_services(context.emit("", item)).result()
    return taken


async def _drain_async(context: OpContext, items: AsyncIterator[Any]) -> list[Any]:
    taken = []
    async for item in items:
        taken.append(item)
        if isinstance(item, str):
            await asyncio.wrap_future(context.on_services(context.emit("", item)))
    return taken
