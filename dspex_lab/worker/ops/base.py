"""The registry of operations: a name, a function, and where the function runs."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dspex_lab.errors import ProtocolError

__all__ = ["OpFunction", "Operation", "find_operation", "operation", "registered_operations"]

#: ``function(context: OpContext, **args)``, plain or async; its value is what the wire can carry.
OpFunction = Callable[..., Any]


#: Whether the function gives a coroutine for these arguments, as far as that can be told beforehand.
GivesCoroutine = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Operation:
    """``runs_on``: "main" for user code and DSPy (plain functions are interrupted by signal, coroutines by
    cancelling their task); "services" for our own asynchronous work, which must never block."""

    name: str
    function: OpFunction
    runs_on: Literal["main", "services"]
    gives_coroutine: GivesCoroutine


_OPERATIONS: dict[str, Operation] = {}


def operation(
    name: str,
    *,
    runs_on: Literal["main", "services"] = "main",
    gives_coroutine: GivesCoroutine | None = None,
) -> Callable[[OpFunction], OpFunction]:
    """Register the decorated function as the operation ``name``. ``gives_coroutine`` is for a plain one that may call
    asynchronous code of the user's."""

    def register(function: OpFunction) -> OpFunction:
        is_async = inspect.iscoroutinefunction(function)
        if runs_on == "services" and not is_async:
            raise TypeError(f"The operation {name} runs on the services loop and must be asynchronous.")
        _OPERATIONS[name] = Operation(name, function, runs_on, gives_coroutine or (lambda arguments: is_async))
        return function

    return register


def registered_operations() -> Mapping[str, Operation]:
    """Every operation that was registered so far, by name."""
    return _OPERATIONS


def find_operation(name: str) -> Operation:
    """The operation called ``name`` (``room.verb``); its module is imported when it is first asked for."""
    operations = registered_operations()
    if name not in operations:
        module = f"dspex_lab.worker.ops.{name.partition('.')[0]}"
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
    if name not in operations:
        raise ProtocolError(f"This worker knows no operation {name!r}.")
    return operations[name]
