"""The router: decides which way an operation takes, sees it through, and tells what happened.

One per lab, on the portal's event loop. Knows backends by their Protocol only, and nothing of pipelines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from dspex_lab.backends.base import Backend
from dspex_lab.calls import LmSpec
from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import Cancelled, ConfigurationError, LabError, PythonError
from dspex_lab.router.blame import target_of
from dspex_lab.router.breaker import BreakerPolicy, Breakers
from dspex_lab.router.cache_policy import CachePolicy
from dspex_lab.router.counts import RouterCounts
from dspex_lab.router.execution import Attempt, NativeAttempt, OnChunk, PythonAttempt, Task, run_attempts
from dspex_lab.router.extensions import NATIVE_GROUP, STRATEGIES_GROUP
from dspex_lab.router.fallback import Alternative, alternatives, may_fall_back
from dspex_lab.router.hybrid import HybridAttempt
from dspex_lab.router.operation import Operation, Options, Outcome, RunContext
from dspex_lab.router.python_calls import BuildCall, build_dspy_call, build_function_call, choose_lm
from dspex_lab.router.registry import Registry
from dspex_lab.router.result_cache import ResultCaches, through_cache
from dspex_lab.router.straight import BegunAttempt
from dspex_lab.router.strategies import (
    BUILT_IN,
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
from dspex_lab.telemetry.spans import below

__all__ = ["Router"]

_DSPY_KINDS = ("predict", "chain_of_thought", "react", "program_of_thought", "module")


class Router:
    """Runs operations. ``native``, ``python`` and ``strategies`` are its registries; ``lm`` the default model.

    ``native.register("shout", function)`` makes a step ``native("shout")`` possible; ``python.register(kind, build)``
    adds a kind that becomes a call; ``strategies.register(name, strategy)`` a strategy for ``route=name``. Installed
    packages add functions and strategies by entry point (``extensions``).
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
        breaker_policy: BreakerPolicy | None = None,
        caches: ResultCaches | None = None,
    ) -> None:
        self._backend = backend
        self._clock = clock or SystemClock()
        self._hub = hub or EventHub(self._clock)
        self.lm = lm
        self.strategy = strategy
        self._find_key = find_key or (lambda model: None)
        self.native: Registry[Callable[..., Any]] = Registry("native function", group=NATIVE_GROUP)
        self.python: Registry[BuildCall] = Registry("operation", dict.fromkeys(_DSPY_KINDS, build_dspy_call))
        for kind in ("native", "template"):
            self.python.register(kind, build_function_call)
        self.strategies: Registry[Strategy] = Registry(
            "strategy",
            {"auto": auto, "native": native, "hybrid": hybrid, "python": python},
            group=STRATEGIES_GROUP,
        )
        self._counts = RouterCounts()
        # By the identity of a step's options, which are kept alive by it.
        self._defaulted: dict[int, tuple[Options, Options]] = {}
        #: What steps with ``cache=`` gave.
        self.caches = caches or ResultCaches(self._clock)
        #: The circuit of each model and pool that was called.
        self.breakers = Breakers(breaker_policy or BreakerPolicy(), self._clock)

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
        step_deadline = _deadline(self._clock, options)
        started = self._clock.monotonic()
        ways = alternatives(self._resolved(operation), options)
        way: Alternative | None = next(ways)
        number, after = 0, ""
        while way is not None:
            # What is tried after the operation itself has a place of its own below it in the trace.
            place = context if number == 0 else replace(context, trace=below(context.trace))
            task, attempt = self._prepared(way, inputs, place, on_chunk, started, step_deadline, after)
            is_begun = begun is not None and number == 0
            if begun is not None and is_begun:
                attempt = BegunAttempt(attempt, begun)
            try:
                return await self._execute(task, attempt, way, is_told=is_begun, outer=context if number else None)
            except Exception as error:
                following = next(ways, None)
                is_late = step_deadline is not None and step_deadline <= self._clock.monotonic()
                if following is None or is_late or not task.has_begun or not may_fall_back(error, following):
                    raise
                if context.account is not None:
                    context.account.check_time()
                number += 1
                after = f"fallback {number}, after {_sentence(error)}: "
                way = following
                self._counts.fall_back()
        raise AssertionError("the operation itself is the first way")

    def _prepared(
        self,
        way: Alternative,
        inputs: Mapping[str, Any],
        context: RunContext,
        on_chunk: OnChunk | None,
        started: float,
        step_deadline: float | None,
        after: str,
    ) -> tuple[Task, Attempt]:
        """The task of one alternative, decided; ``after`` says what it follows."""
        operation, options = self._resolved(way.operation), way.options
        if operation.signature is not None:
            # A strategy is pure: it must see which model the default is.
            options = self._with_lm(options)
        decision, attempt = self._decide(operation, options)
        if after:
            decision = replace(decision, reason=after + decision.reason)
        deadline = step_deadline
        if way.is_other and (own := _deadline(self._clock, options)) is not None:
            deadline = own if deadline is None else min(own, deadline)
        task = Task(operation, way.inputs(inputs), options, context, decision, on_chunk, self._clock, started, deadline)
        if decision.route is not Route.NATIVE:
            lm = options.lm if isinstance(options.lm, LmSpec) else self.lm
            task.breaker = self.breakers.of(target_of(operation, lm, decision.target))
        return task, attempt

    def deciding(self) -> Callable[[Operation, Options], Decision]:
        """The strategy of this moment, for who decides many times in a row. What it sends the native way and
        :func:`may_be_straight` can be called with ``call_straight``, off the loop: :meth:`count_straight` counts the
        calls that worked, ``execute(..., begun=error)`` sees to what failed."""
        return self._deciding(self.strategy)

    def _deciding(self, name: str) -> Callable[[Operation, Options], Decision]:
        strategy = self.strategies.find(name)
        if strategy in BUILT_IN:  # the house's own ask no statistics, and these are not built for nothing
            return lambda operation, options: strategy(operation, options, _NO_STATISTICS)
        return lambda operation, options: strategy(operation, options, self.statistics())

    def count_straight(self, decision: Decision, count: int) -> None:
        """Count so many straight calls that worked, from any thread."""
        self._counts.add_straight(decision, count)

    async def _execute(
        self, task: Task, attempt: Attempt, way: Alternative, *, is_told: bool = False, outer: RunContext | None = None
    ) -> Outcome:
        """See one alternative through, count it and tell of it. ``outer`` is what it stands in for."""
        operation, context, decision = task.operation, task.context, task.decision
        self._counts.begin(decision)
        if not is_told:
            context.emit(
                "router.route",
                **({"parent": outer.trace.span_id} if outer is not None and outer.trace is not None else {}),
                operation=operation.name,
                route=str(decision.route),
                reason=decision.reason,
                target=decision.target,
            )
        ending: Literal["succeeded", "failed", "cancelled"] = "failed"
        try:
            if decision.route is not Route.NATIVE and operation.signature is not None:
                signature = operation.signature
                # A worker gets plain data: it knows the classes, but instances of them never travel. A prompt that is
                # written here gets the same, so that both routes ask the same.
                task.inputs = signature.serializer.dump(signature.validator.validate_inputs(dict(task.inputs)))
            task.has_begun = True
            if task.options.cache is None:
                outcome = await run_attempts(task, attempt)
            else:
                outcome = await self._cached(task, attempt, task.options.cache)
            if way.is_other:
                outcome = replace(outcome, outputs=way.outputs(outcome.outputs))
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
            self._counts.end(decision, ending)
            self._counts.spend(task.retried, task.spent)

    async def _cached(self, task: Task, attempt: Attempt, policy: CachePolicy) -> Outcome:
        lm = task.options.lm if isinstance(task.options.lm, LmSpec) else self.lm
        outcome = await through_cache(task, self.caches, policy, lm, lambda: run_attempts(task, attempt))
        if outcome.cached:
            self._counts.hit_cache()
        return outcome

    def statistics(self) -> RouterStatistics:
        """What was done so far; from any thread."""
        return self._counts.statistics()

    def _decide(self, operation: Operation, options: Options) -> tuple[Decision, Attempt]:
        decision = self._deciding(options.route or self.strategy)(operation, options)
        if decision.route is Route.NATIVE:
            if operation.function is None:
                raise ConfigurationError(
                    f"{operation.name} has no function to run in the notebook process.", "route", "a native operation"
                )
            return decision, NativeAttempt(operation.function)
        if decision.route is Route.HYBRID:
            return decision, HybridAttempt(self._backend, self.lm)
        return decision, PythonAttempt(self._backend, self.python.find(operation.kind), self.lm)

    def _with_lm(self, options: Options) -> Options:
        """The options with the language model that is meant, key and all."""
        if isinstance(options.lm, LmSpec):
            return options
        if options.lm is not None:
            return replace(options, lm=self._choose_lm(options.lm))
        # A step is run again and again with the same options, and copying these costs microseconds.
        known = self._defaulted.get(id(options))
        if known is None or known[0] is not options or known[1].lm is not self.lm:
            if len(self._defaulted) >= _MAX_DEFAULTED:
                self._defaulted.clear()
            known = self._defaulted[id(options)] = (options, replace(options, lm=self.lm))
        return known[1]

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

    def __repr__(self) -> str:
        return f"<Router [{self.strategy}, {self.lm.model}, {self._counts!r}]>"


_NO_STATISTICS = RouterStatistics()
#: For so many steps the options with the default model are remembered.
_MAX_DEFAULTED = 256


def _deadline(clock: Clock, options: Options) -> float | None:
    return None if options.timeout_s is None else clock.monotonic() + options.timeout_s


def _sentence(error: Exception) -> str:
    """The error's kind and first line, for a reason."""
    said = error.message if isinstance(error, LabError) else str(error)
    return f"{type(error).__name__} ({said.partition(chr(10))[0][:200].rstrip('.')})"


def _plain_error(error: Exception) -> dict[str, Any]:
    if isinstance(error, LabError):
        return error.to_dict()
    return PythonError(str(error), error_type=type(error).__name__).to_dict()
