"""A walk: on a thread, a plain function and those that follow it one by one, with no event loop in between.

Where the way forks, or leads to a step of another kind, the walk ends and says what comes next. It can be stopped from
any other thread at any moment: a function cannot be interrupted, but its walk goes no step further, and tells no more.
"""

from __future__ import annotations

import contextvars
import itertools
from dataclasses import dataclass

from dspex_lab.calls import TraceContext
from dspex_lab.pipelines.book import RunBook
from dspex_lab.pipelines.plan import PlanStep
from dspex_lab.pipelines.progress import BlockProgress
from dspex_lab.pipelines.steps import Leaf
from dspex_lab.router import Decision, EmitEvent, Router, RunContext, call_straight, tell_straight
from dspex_lab.telemetry.spans import new_span_id

__all__ = ["Failure", "UnderWay", "Walk", "Walked"]


#: A step whose function runs, when it began, and its place in the trace.
UnderWay = tuple[PlanStep, float, TraceContext | None]


@dataclass(frozen=True, slots=True)
class Failure:
    """How the function of a step ended: the rest is the router's business."""

    index: int
    started: float
    error: Exception
    context: RunContext


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
        "_emit",
        "_first",
        "_is_stopped",
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
        trace_id: str | None = None,
    ) -> None:
        self._first = first
        self._progress = progress
        self._book = book
        self._router = router
        self._emit = emit
        self._run_id = run_id
        self._trace_id = trace_id
        self._is_stopped = False
        # Holds the step while its function runs. Who takes it out, the walk or who stops it, has the right to tell
        # how it ended; taking from a list is one step to every thread.
        self._under_way: list[UnderWay] = []

    def can_begin(self) -> bool:
        """Whether the first step has all that it reads, and is to run here."""
        return (
            self._decision(self._progress.block.steps[self._first]) is not None
            and self._progress.inputs(self._first) is not None
        )

    def ask_to_stop(self) -> None:
        """Let no further function begin, from any thread."""
        self._is_stopped = True

    def stop(self) -> UnderWay | None:
        """Let the walk go no further, from any thread. The step whose function runs now, and is left behind; None
        when the walk ends at once by itself."""
        self._is_stopped = True
        return self._take()

    def go(self) -> Walked | None:
        """Walk as far as the way is straight; None: it was stopped, and who stopped it tells of the last step."""
        worked: list[Decision] = []
        try:
            return self._go(worked)
        finally:
            for decision, same in itertools.groupby(worked):
                self._router.count_straight(decision, sum(1 for _ in same))

    def _go(self, worked: list[Decision]) -> Walked | None:
        index, progress, book, run_id, emit = self._first, self._progress, self._book, self._run_id, self._emit
        trace_id, parent = self._trace_id, progress.parent
        while True:
            step = progress.block.steps[index]
            decision, inputs = self._decision(step), progress.inputs(index)
            leaf = step.step
            if decision is None or inputs is None or not isinstance(leaf, Leaf) or leaf.operation.function is None:
                return Walked((index,))
            if self._must_stop():
                return Walked(is_stopped=True)
            trace = TraceContext(trace_id, new_span_id()) if trace_id is not None else None
            started = book.began(step, trace, parent)
            self._under_way.append((step, started, trace))
            if self._must_stop():
                return self._stopped()
            try:
                # Each function has a copy of its own of the context, as if it were called in a task.
                outputs, run_s = contextvars.copy_context().run(
                    call_straight,
                    leaf.operation,
                    leaf.operation.function,
                    inputs,
                    decision,
                    self._router.clock,
                    send=emit,
                    trace=trace,
                    run_id=run_id,
                    step=step.name,
                )
            except Exception as error:
                failure = Failure(index, started, error, RunContext(emit, run_id, step.name, trace))
                return None if self._take() is None else Walked(failure=failure)
            if self._take() is None:
                return None
            worked.append(decision)
            tell_straight(leaf.operation, run_s, send=emit, trace=trace, run_id=run_id, step=step.name)
            book.walked(step, started, outputs, decision, run_s, trace)
            ready = progress.finish(index, outputs)
            if len(ready) != 1:
                return Walked(tuple(ready))
            index = ready[0]

    def _decision(self, step: PlanStep) -> Decision | None:
        if not step.is_straight or not isinstance(step.step, Leaf):
            return None
        return self._router.straight(step.step.operation, step.step.options)

    def _must_stop(self) -> bool:
        return self._is_stopped  # asked again and again: it may change at any moment

    def _take(self) -> UnderWay | None:
        try:
            return self._under_way.pop()
        except IndexError:
            return None

    def _stopped(self) -> Walked | None:
        taken = self._take()
        if taken is None:
            return None
        self._book.cancelled(*taken)
        return Walked(is_stopped=True)
