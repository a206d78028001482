"""The short way of a plain function: called by who is off the event loop already, with no task and no turn of it.

Only what needs nothing else goes this way: no deadline, no fallback, no pool. What fails is handed to the router's own
way, which retries and tells as ever. Knows nothing of pipelines.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dspex_lab.clock import Clock
from dspex_lab.router.execution import Attempt, NativeAttempt, Task
from dspex_lab.router.operation import Operation, Options, Outcome, RunContext, outputs_of
from dspex_lab.router.strategies import NATIVE_KINDS, Decision

__all__ = ["BegunAttempt", "StraightCall", "UnfinishedError", "may_be_straight"]

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
    if operation.kind not in NATIVE_KINDS or function is None or not _is_bare(options):
        return False
    return not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__))


def _is_bare(options: Options) -> bool:
    others = options.__dataclass_fields__.keys() - _HARMLESS
    return all(getattr(options, name) == getattr(_BARE, name) for name in others)


@dataclass(frozen=True, slots=True)
class StraightCall:
    """A plain function for which the native route was chosen."""

    operation: Operation
    function: Callable[..., Any]
    decision: Decision
    clock: Clock

    def __call__(self, inputs: Mapping[str, Any], context: RunContext) -> Outcome:
        """Call it here and now, on this thread, and tell of it. Raises what the function raises; what would mean
        something to an event loop comes as ``RuntimeError``."""
        operation, decision = self.operation, self.decision
        if context.account is not None:
            context.account.check_time()
        context.emit(
            "router.route",
            operation=operation.name,
            route=decision.route.value,
            reason=decision.reason,
            target=decision.target,
        )
        begun = self.clock.monotonic()
        try:
            value = self.function(**inputs)
        except (SystemExit, KeyboardInterrupt, StopIteration, asyncio.CancelledError) as error:
            raise RuntimeError(f"{type(error).__name__} was raised: {error}") from error
        if type(value) not in _NEVER_AWAITED and inspect.isawaitable(value):
            raise UnfinishedError(value)
        took_s = self.clock.monotonic() - begun
        context.emit("native.execute", operation=operation.name, duration_s=took_s)
        return Outcome(outputs_of(operation, value), decision.route, decision.target, run_s=took_s)


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
