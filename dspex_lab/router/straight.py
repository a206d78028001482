"""The short way of a plain function: called by who is off the event loop already, with no task and no turn of it.

Only what needs nothing else goes this way: no deadline, no fallback, no pool. What fails is handed to the router's own
way, which retries and tells as ever. Knows nothing of pipelines.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dspex_lab.calls import TraceContext
from dspex_lab.clock import Clock
from dspex_lab.router.execution import Attempt, NativeAttempt, Task
from dspex_lab.router.native import told_as_error
from dspex_lab.router.operation import EmitEvent, Operation, Options, Outcome, outputs_of
from dspex_lab.router.strategies import NATIVE_KINDS, Decision

__all__ = ["BegunAttempt", "UnfinishedError", "call_straight", "may_be_straight", "tell_straight"]

_BARE = Options()
#: The options that change nothing for a function that works.
_HARMLESS = frozenset({"output_retries", "retry", "stream"})


class UnfinishedError(Exception):
    """A function that seemed plain returned something to await. Never seen by users."""

    def __init__(self, value: Awaitable[Any]) -> None:
        super().__init__("The value is still to be awaited.")
        self.value = value


def may_be_straight(operation: Operation, options: Options) -> bool:
    """Whether the operation is a plain function, and nothing is asked for that the short way does not do."""
    function = operation.function
    if operation.kind not in NATIVE_KINDS or function is None or not (options == _BARE or _is_bare(options)):
        return False
    return not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__))


def _is_bare(options: Options) -> bool:
    others = options.__dataclass_fields__.keys() - _HARMLESS
    return all(getattr(options, name) == getattr(_BARE, name) for name in others)


def call_straight(
    operation: Operation,
    function: Callable[..., Any],
    inputs: Mapping[str, Any],
    decision: Decision,
    clock: Clock,
    *,
    send: EmitEvent,
    trace: TraceContext | None,
    run_id: str,
    step: str,
) -> tuple[Mapping[str, Any], float]:
    """Call ``function`` here and now, on this thread: its outputs, and the seconds that it took. Tells of the route;
    that it ended well is told with :func:`tell_straight`, by who still wants to know.

    Everything comes as an argument, and no value is made that nobody looks at: this is all that a plain step costs.
    Raises what the function raises; what would mean something to an event loop comes as ``RuntimeError``.
    """
    name = operation.name
    send(
        "router.route",
        trace,
        run_id=run_id,
        step=step,
        operation=name,
        route=decision.route._value_,
        reason=decision.reason,
        target=decision.target,
    )
    begun = clock.monotonic()
    try:
        value = function(**inputs)
    except StopIteration as error:
        raise told_as_error(error) from error
    except Exception:
        raise
    except BaseException as error:
        raise told_as_error(error) from error
    if type(value) not in _NEVER_AWAITED and inspect.isawaitable(value):
        raise UnfinishedError(value)
    return outputs_of(operation, value), clock.monotonic() - begun


def tell_straight(
    operation: Operation, took_s: float, *, send: EmitEvent, trace: TraceContext | None, run_id: str, step: str
) -> None:
    """Tell that a straight call ended well."""
    send("native.execute", trace, run_id=run_id, step=step, operation=operation.name, duration_s=took_s)


@dataclass(slots=True)
class BegunAttempt:
    """The first try was made off the loop and ended with ``error``; the next ones are ``attempt``."""

    attempt: Attempt
    error: Exception
    is_first: bool = True

    async def __call__(self, task: Task) -> Outcome:
        if not self.is_first:
            return await self.attempt(task)
        self.is_first = False
        return await NativeAttempt(self._go_on)(task)

    async def _go_on(self, **_: Any) -> Any:
        if isinstance(self.error, UnfinishedError):
            return await self.error.value
        raise self.error


_NEVER_AWAITED = frozenset({str, int, float, bool, list, dict, tuple, type(None)})
