"""The router: decides which way an operation takes, sees it through, and tells what happened.

One per lab, on the portal's event loop. Knows backends by their Protocol only, and nothing of pipelines.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from dspex_lab.backends.base import Backend
from dspex_lab.calls import LmSpec
from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import Cancelled, ConfigurationError, LabError, PythonError
from dspex_lab.router.execution import Attempt, NativeAttempt, OnChunk, PythonAttempt, Task, run_attempts
from dspex_lab.router.fallback import alternatives, may_fall_back
from dspex_lab.router.hybrid import HybridAttempt
from dspex_lab.router.operation import Operation, Options, Outcome, RunContext
from dspex_lab.router.python_calls import BuildCall, build_dspy_call, build_function_call, choose_lm
from dspex_lab.router.registry import Registry
from dspex_lab.router.straight import BegunAttempt
from dspex_lab.router.strategies import (
    Decision,
    Route,
    RouterStatistics,
    Strategy,
    auto,
    hybrid,
    native,
    python,
)
from dspex_lab.telemetry.events import EventHub

__all__ = ["Router"]

_DSPY_KINDS = ("predict", "chain_of_thought", "react", "program_of_thought", "module")


class Router:
    """Runs operations. ``native``, ``python`` and ``strategies`` are its registries; ``lm`` the default model.

    ``native.register("shout", function)`` makes a step ``native("shout")`` possible; ``python.register(kind, build)``
    adds a kind that becomes a call; ``strategies.register(name, strategy)`` a strategy for ``route=name``.
    ``find_key`` gives the key for a model that a step names, where the default's is not for it.
    """

    def __init__(
        self,
        backend: Backend,
        lm: LmSpec,
        *,
        hub: EventHub | None = None,
        clock: Clock | None = None,
        strategy: str = "auto",
        find_key: Callable[[str], str | None] | None = None,
    ) -> None:
        self._backend = backend
        self._clock = clock or SystemClock()
        self._hub = hub or EventHub(self._clock)
        self.lm = lm
        self.strategy = strategy
        self._find_key = find_key or (lambda model: None)
        self.native: Registry[Callable[..., Any]] = Registry("native function")
        self.python: Registry[BuildCall] = Registry("operation", dict.fromkeys(_DSPY_KINDS, build_dspy_call))
        for kind in ("native", "template"):
            self.python.register(kind, build_function_call)
        self.strategies: Registry[Strategy] = Registry(
            "strategy", {"auto": auto, "native": native, "hybrid": hybrid, "python": python}
        )
        self._counts: Counter[str] = Counter()
        self._routes: Counter[str] = Counter()
        self._targets: Counter[str] = Counter()
        # Straight calls are counted on whatever thread made them.
        self._straight: Counter[Decision] = Counter()
        self._lock = threading.Lock()

    @property
    def hub(self) -> EventHub:
        return self._hub

    @property
    def clock(self) -> Clock:
        return self._clock

    async def execute(
        self,
        operation: Operation,
        inputs: Mapping[str, Any],
        *,
        options: Options | None = None,
        context: RunContext | None = None,
        on_chunk: OnChunk | None = None,
        begun: Exception | None = None,
    ) -> Outcome:
        """Run ``operation`` on ``inputs`` to its outcome. ``begun`` is how a :meth:`straight` call of it ended.

        Raises a ``LabError``; the exceptions of a native function come through as they are, with their traceback.
        Cancelling the task stops the work.
        """
        options = options or Options()
        context = context or RunContext(self._hub.emit)
        started = self._clock.monotonic()
        # A strategy is pure: it must see which model the default is.
        others = [replace(one, lm=self._choose_lm(one.lm)) for one in alternatives(options)]
        operation = self._resolved(operation)
        for number, one in enumerate(others, 1):
            decision, attempt = self._decide(operation, one)
            if number > 1:
                decision = replace(decision, reason=f"fallback {number - 1}, after an error: {decision.reason}")
            task = Task(operation, inputs, one, context, decision, on_chunk, self._clock, started)
            is_begun = begun is not None and number == 1
            if begun is not None and is_begun:
                attempt = BegunAttempt(attempt, begun)
            try:
                return await self._execute(task, attempt, is_told=is_begun)
            except LabError as error:
                left_s = task.remaining_s()
                if number == len(others) or not may_fall_back(error) or (left_s is not None and left_s <= 0):
                    raise
        raise AssertionError("the options themselves are the first alternative")

    def straight(self, operation: Operation, options: Options) -> Decision | None:
        """How to ``call_straight`` the operation, which :func:`may_be_straight`, off the loop; None when the strategy
        has another way for it. :meth:`count_straight` counts the calls that worked, ``execute(..., begun=error)`` sees
        to what failed."""
        strategy = self.strategies.find(self.strategy)
        # The usual one asks no statistics, and they are not made for nothing.
        statistics = _NO_STATISTICS if strategy is auto else self.statistics()
        decision = strategy(operation, options, statistics)
        return decision if decision.route is Route.NATIVE else None

    def count_straight(self, decision: Decision, count: int) -> None:
        """Count so many straight calls that worked, from any thread."""
        with self._lock:
            self._straight[decision] += count

    async def _execute(self, task: Task, attempt: Attempt, *, is_told: bool = False) -> Outcome:
        """See one alternative through, count it and tell of it."""
        operation, context, decision = task.operation, task.context, task.decision
        self._count(decision)
        if not is_told:
            context.emit(
                "router.route",
                operation=operation.name,
                route=str(decision.route),
                reason=decision.reason,
                target=decision.target,
            )
        ending = "failed"
        try:
            if decision.route is not Route.NATIVE and operation.signature is not None:
                signature = operation.signature
                # A worker gets plain data: it knows the classes, but instances of them never travel. A prompt that is
                # written here gets the same, so that both routes ask the same.
                task.inputs = signature.serializer.dump(signature.validator.validate_inputs(dict(task.inputs)))
            outcome = await run_attempts(task, attempt)
            ending = "succeeded"
            return outcome
        except (asyncio.CancelledError, Cancelled):
            ending = "cancelled"
            raise
        except Exception as error:
            place = "native" if decision.route is Route.NATIVE else "python"
            context.emit(f"error.{place}", operation=operation.name, error=_plain_error(error))
            raise
        finally:
            self._counts[ending] += 1
            self._counts["in_flight"] -= 1
            self._counts["retries"] += task.retries

    def statistics(self) -> RouterStatistics:
        counts = self._counts
        with self._lock:
            straight = tuple(self._straight.items())
        routes, targets = Counter(self._routes), Counter(self._targets)
        for decision, count in straight:
            routes[decision.route.value] += count
            targets[decision.target] += count
        in_all = sum(count for _, count in straight)
        return RouterStatistics(
            calls=counts["calls"] + in_all,
            succeeded=counts["succeeded"] + in_all,
            failed=counts["failed"],
            cancelled=counts["cancelled"],
            retries=counts["retries"],
            in_flight=counts["in_flight"],
            by_route=MappingProxyType(dict(routes)),
            by_target=MappingProxyType(dict(targets)),
        )

    def _decide(self, operation: Operation, options: Options) -> tuple[Decision, Attempt]:
        strategy = self.strategies.find(options.route or self.strategy)
        decision = strategy(operation, options, self.statistics())
        if decision.route is Route.NATIVE:
            if operation.function is None:
                raise ConfigurationError(
                    f"{operation.name} has no function to run in the notebook process.", "route", "a native operation"
                )
            return decision, NativeAttempt(operation.function)
        if decision.route is Route.HYBRID:
            return decision, HybridAttempt(self._backend, self.lm)
        return decision, PythonAttempt(self._backend, self.python.find(operation.kind), self.lm)

    def _choose_lm(self, asked: LmSpec | str | None) -> LmSpec:
        """The language model of a step, with its own provider's key."""
        chosen = choose_lm(asked, self.lm)
        if chosen.api_key is None and isinstance(asked, str):
            return replace(chosen, api_key=self._find_key(chosen.model))
        return chosen

    def _resolved(self, operation: Operation) -> Operation:
        """The operation with the registered function that it names."""
        if operation.function is not None or not operation.native_name:
            return operation
        return replace(operation, function=self.native.find(operation.native_name))

    def _count(self, decision: Decision) -> None:
        self._counts["calls"] += 1
        self._counts["in_flight"] += 1
        self._routes[str(decision.route)] += 1
        self._targets[decision.target] += 1

    def __repr__(self) -> str:
        statistics = self.statistics()
        return (
            f"<Router [{self.strategy}, {self.lm.model}, calls: {statistics.calls}, "
            f"in flight: {statistics.in_flight}, failed: {statistics.failed}]>"
        )


_NO_STATISTICS = RouterStatistics()


def _plain_error(error: Exception) -> dict[str, Any]:
    if isinstance(error, LabError):
        return error.to_dict()
    return PythonError(str(error), error_type=type(error).__name__).to_dict()
