"""A walk: on a thread, a plain function and those that follow it one by one, with no event loop in between.

Where the way forks, or leads to a step of another kind, the walk ends and says what comes next. It can be stopped from
any other thread at any moment: a function cannot be interrupted, but its walk goes no step further, and tells no more.
Each step is in the run's memory before the next one begins.
"""

from __future__ import annotations

import contextvars
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dspex_lab.calls import TraceContext
from dspex_lab.pipelines.outcome.memory import StepMemory
from dspex_lab.pipelines.outcome.result import step_metrics
from dspex_lab.pipelines.plan.plan import PlanStep
from dspex_lab.pipelines.run.book import RunBook
from dspex_lab.pipelines.run.progress import BlockProgress, Values
from dspex_lab.router import Decision, EmitEvent, Operation, Route, Router, call_straight, tell_straight
from dspex_lab.telemetry.spans import new_span_id

__all__ = ["Failure", "Walk", "Walked"]


#: A step whose function runs, when it began, and its place in the trace; None: what comes before the steps.
_UnderWay = tuple[PlanStep, float, TraceContext | None] | None


@dataclass(frozen=True, slots=True)
class Failure:
    """How the function of a step ended: the rest is the router's business."""

    index: int
    started: float
    error: Exception
    trace: TraceContext | None


@dataclass(frozen=True, slots=True)
class Walked:
    """How a walk ended: the steps that can begin now, or the one that failed, or that it was stopped."""

    ready: tuple[int, ...] = ()
    failure: Failure | None = None
    is_stopped: bool = False


class Walk:
    """One walk from the step ``first`` on. :meth:`go` is called once, on a thread."""

    __slots__ = (
        "_book",
        "_clock",
        "_decide",
        "_emit",
        "_first",
        "_is_stopped",
        "_memory",
        "_progress",
        "_router",
        "_run_id",
        "_trace_id",
        "_under_way",
    )

    def __init__(
        self,
        first: int,
        progress: BlockProgress,
        *,
        book: RunBook,
        router: Router,
        emit: EmitEvent,
        run_id: str,
        memory: StepMemory | None = None,
        trace_id: str | None = None,
    ) -> None:
        self._first = first
        self._progress = progress
        self._book = book
        self._router = router
        self._emit = emit
        self._run_id = run_id
        self._memory = memory
        self._trace_id = trace_id
        self._clock = router.clock
        self._decide = router.deciding()
        self._is_stopped = False
        # Holds the step while its function runs and its outputs are kept. Who takes it out, the walk or who stops it,
        # has the right to tell how it ended; taking from a list is one step to every thread.
        self._under_way: list[_UnderWay] = []

    def can_begin(self) -> bool:
        """Whether the first step has all that it reads, and is to run here."""
        return (
            self._decision(self._progress.block.steps[self._first]) is not None
            and self._progress.inputs(self._first) is not None
        )

    def ask_to_stop(self) -> None:
        """Let no further function begin, from any thread."""
        self._is_stopped = True

    def stop(self) -> bool:
        """Let the walk go no further, from any thread. Whether what it was at is left behind: nobody hears from it any
        more. Else the walk ends at once by itself."""
        self._is_stopped = True
        return self._leave()

    def go(self, before: Callable[[], None] | None = None) -> Walked | None:
        """Walk as far as the way is straight, and call ``before`` first. None: it was left behind."""
        worked: list[Decision] = []
        try:
            if before is not None:
                self._under_way.append(None)
                before()
                if not self._take():
                    return None
            return self._go(worked)
        finally:
            for decision, same in itertools.groupby(worked):
                self._router.count_straight(decision, sum(1 for _ in same))

    def _go(self, worked: list[Decision]) -> Walked | None:
        index, progress = self._first, self._progress
        while True:
            step = progress.block.steps[index]
            outputs = None if self._memory is None else self._recalled(step, self._memory)
            if outputs is None:
                leaf, decision = step.straight, self._decision(step)
                inputs = None if decision is None else progress.inputs(index)
                if leaf is None or decision is None or inputs is None or leaf.operation.function is None:
                    return Walked((index,))
                if self._is_stopped:
                    return Walked(is_stopped=True)
                called = self._called(index, step, leaf.operation, leaf.operation.function, inputs, decision)
                if isinstance(called, Walked) or called is None:
                    return called
                worked.append(decision)
                outputs = called
            ready = progress.finish(index, outputs)
            if len(ready) != 1:
                return Walked(tuple(ready))
            index = ready[0]

    def _called(
        self,
        index: int,
        step: PlanStep,
        operation: Operation,
        function: Callable[..., Any],
        inputs: Values,
        decision: Decision,
    ) -> Values | Walked | None:
        """The outputs of one function, kept and told; or how the walk ends with it."""
        book, run_id, emit, name = self._book, self._run_id, self._emit, step.name
        trace = TraceContext(self._trace_id, new_span_id()) if self._trace_id is not None else None
        started = book.began(step, trace, self._progress.parent)
        self._under_way.append((step, started, trace))
        if self._is_stopped:
            return Walked(is_stopped=True) if self._leave() else None
        try:
            # Each function has a copy of its own of the context, as if it were called in a task.
            outputs, run_s = contextvars.copy_context().run(
                call_straight,
                operation,
                function,
                inputs,
                decision,
                self._clock,
                send=emit,
                trace=trace,
                run_id=run_id,
                step=name,
            )
        except Exception as error:
            return Walked(failure=Failure(index, started, error, trace)) if self._take() else None
        figures = book.figures_of(step, started, decision, run_s)
        if self._memory is not None:
            self._memory.keep_here(self._progress.place + name, outputs, step_metrics(figures))
        if not self._take():
            return None
        tell_straight(operation, run_s, send=emit, trace=trace, run_id=run_id, step=name)
        book.walked(figures, outputs, trace)
        return outputs

    def _recalled(self, step: PlanStep, memory: StepMemory) -> Values | None:
        """What the step gave in an earlier life of the run, told."""
        if step.blocks:
            return None
        known = memory.recall(self._progress.place + step.name)
        if known is None:
            return None
        self._book.resumed(step, known)
        return known.outputs

    def _decision(self, step: PlanStep) -> Decision | None:
        """How to call the step's function here; None: it has none, or the strategy has another way for it."""
        if step.straight is None:
            return None
        decision = self._decide(step.straight.operation, step.straight.options)
        return decision if decision.route is Route.NATIVE else None

    def _take(self) -> bool:
        try:
            self._under_way.pop()
        except IndexError:
            return False
        return True

    def _leave(self) -> bool:
        """Take what is under way, and tell that it was left."""
        try:
            left = self._under_way.pop()
        except IndexError:
            return False
        if left is not None:
            self._book.cancelled(*left)
        return True
