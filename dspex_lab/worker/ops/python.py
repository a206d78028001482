"""The user's own functions in a worker."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from typing import Any

from dspex_lab.errors import ConfigurationError
from dspex_lab.worker.context import OpContext
from dspex_lab.worker.ops.base import operation

__all__ = ["call", "named_object"]


@operation("python.call")
def call(
    context: OpContext,
    *,
    function: Callable[..., Any] | str,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """``function(*args, **kwargs)`` on the main thread; a coroutine goes on as a task of the main loop.

    ``function`` may be a dotted name. The text items of a generator are streamed when the call streams; its value is
    the list of all items.
    """
    target = named_object(function) if isinstance(function, str) else function
    value = target(*args, **(kwargs or {}))
    if inspect.isasyncgen(value):
        return _drain(context, value)
    if inspect.isgenerator(value):
        return list(_shown(context, value))
    return value


def named_object(name: str) -> Any:
    """The object called ``package.module.name``, or ``package.module:name``. Raises ConfigurationError."""
    module_name, _, attribute = name.partition(":") if ":" in name else name.rpartition(".")
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"This worker cannot import {name!r}.",
            "module",
            "package.module.name",
            name,
            hint="Is its package installed where the workers run?",
        ) from error
    return found


def _shown(context: OpContext, items: Iterator[Any]) -> Iterator[Any]:
    for item in items:
        if context.is_streaming and isinstance(item, str):
            context.on_services(context.emit("", item)).result()
        yield item


async def _drain(context: OpContext, items: AsyncGenerator[Any, Any]) -> list[Any]:
    found = []
    try:
        async for item in items:
            if context.is_streaming and isinstance(item, str):
                await asyncio.wrap_future(context.on_services(context.emit("", item)))
            found.append(item)
    finally:
        await items.aclose()
    return found
