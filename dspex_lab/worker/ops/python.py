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


def _is_asynchronous(arguments: Mapping[str, Any]) -> bool:
    return inspect.iscoroutinefunction(arguments.get("function"))


@operation("python.call", gives_coroutine=_is_asynchronous)
def call(
    context: OpContext,
    *,
    function: Callable[..., Any] | str,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """``function(*args, **kwargs)`` on the main thread; a coroutine goes on as a task of the main loop.

    ``function`` may be a dotted name. The value of a generator (plain or asynchronous) is the list of its items; when
    the call streams, its texts are streamed as they come and the value is the list of **the other** items: a stream may
    be longer than memory. In a session a function that takes a parameter called ``state`` is given the session's.
    """
    target = named_object(function) if isinstance(function, str) else function
    args, kwargs = list(args), dict(kwargs or {})
    if context.session_state is not None:
        _add_state(target, args, kwargs, context.session_state)
    value = target(*args, **kwargs)
    if inspect.isasyncgen(value):
        return _drain(context, value)
    if inspect.isgenerator(value):
        return list(_kept(context, value))
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


def _add_state(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], state: dict[str, Any]) -> None:
    """Put ``state`` where ``function`` takes it, if it does; the caller's arguments are those around it."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some of C's functions do not say what they take
        return
    names = [parameter.name for parameter in parameters]
    if "state" not in names or "state" in kwargs:
        return
    place = names.index("state")
    kind = parameters[place].kind
    is_named = kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    if kind is inspect.Parameter.KEYWORD_ONLY or (is_named and place > len(args)):
        kwargs["state"] = state
    elif is_named or kind is inspect.Parameter.POSITIONAL_ONLY:
        args.insert(place, state)


def _kept(context: OpContext, items: Iterator[Any]) -> Iterator[Any]:
    """The items that are not streamed."""
    for item in items:
        if context.is_streaming and isinstance(item, str):
            context.on_services(context.emit("", item)).result()
        else:
            yield item


async def _drain(context: OpContext, items: AsyncGenerator[Any, Any]) -> list[Any]:
    """The items that are not streamed."""
    kept = []
    try:
        async for item in items:
            if context.is_streaming and isinstance(item, str):
                await asyncio.wrap_future(context.on_services(context.emit("", item)))
            else:
                kept.append(item)
    finally:
        await items.aclose()
    return kept
