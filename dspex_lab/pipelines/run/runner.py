"""Carries a plan out: steps as soon as what they read is there, side by side where they can.

One :class:`PlanRun` per run. Plain functions go off the event loop, in ``walk``; everything else is done on it. The
run's own events and its state are ``run``'s business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import isawaitable
from typing import Any, Protocol

from dspex_lab.calls import Priority, TraceContext
from dspex_lab.clock import Clock
from dspex_lab.errors import Cancelled, LabError
from dspex_lab.pipelines.outcome.memory import DECISION, ITEMS, SPENT_KEY, Remembered, StepMemory, item_place, mark_key
from dspex_lab.pipelines.outcome.record import Record, StepRecords
from dspex_lab.pipelines.outcome.result import Metrics, StepMetrics, StepStatus
from dspex_lab.pipelines.outcome.spending import open_account
from dspex_lab.pipelines.plan.plan import Block, Plan, PlanStep
from dspex_lab.pipelines.run.book import RunBook
from dspex_lab.pipelines.run.group import FirstErrorGroup
from dspex_lab.pipelines.run.options import RunOptions
from dspex_lab.pipelines.run.progress import BlockProgress, Values
from dspex_lab.pipelines.run.walk import Failure, Walk, Walked
from dspex_lab.pipelines.steps.asking import ASK, Form
from dspex_lab.pipelines.steps.step import Each, Leaf, When
from dspex_lab.router import Account, EmitEvent, Outcome, Router, RunContext, call_plain
from dspex_lab.telemetry.spans import below
from dspex_lab.threads import Threads

__all__ = ["AskPeople", "PlanRun", "RunSettings"]


class AskPeople(Protocol):
    """How a step that asks gets its answer; ``Questions.ask`` is one."""

    async def __call__(
        self, step: str, key: str, form: Form, inputs: Values, *, timeout_s: float | None
    ) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What holds for a whole run: its id, and how it is to go.

    ``priority`` "batch" lets the calls of those who wait go first. ``trace`` is the run's own place in its trace, under
    the span ``trace_parent``; a run without one is not traced."""

    run_id: str
    options: RunOptions = field(default_factory=RunOptions)
    priority: Priority = "interactive"
    trace: TraceContext | None = None
    trace_parent: str | None = None


class PlanRun:
    """One run of a plan. ``book`` has what came of its steps so far. Without ``threads``, plain functions run where
    the router puts them. ``around`` is the account of the batch that it is a row of."""

    def __init__(
        self,
        plan: Plan,
        router: Router,
        settings: RunSettings,
        *,
        emit: EmitEvent,
        clock: Clock,
        memory: StepMemory | None = None,
        ask: AskPeople | None = None,
        threads: Threads | None = None,
        around: Account | None = None,
    ) -> None:
        self._plan = plan
        self._router = router
        self._settings = settings
        self._emit = emit
        self._memory = memory
        self._ask = ask
        self._threads = threads
        self.book = RunBook(settings.run_id, emit, clock)
        known = None if memory is None else memory.recall(SPENT_KEY)
        #: What the run has used of its budget; None without one.
        self.account = open_account(settings.options.budget, clock, known=known, around=around)

    @property
    def metrics(self) -> Mapping[str, StepMetrics]:
        return Metrics(self.book.figures, duration_s=0.0)

    @property
    def records(self) -> Mapping[str, Record]:
        return StepRecords(self.book.outputs)

    @property
    def errors(self) -> Mapping[str, LabError]:
        return self.book.errors

    def progress(self, inputs: Values) -> BlockProgress:
        """The whole plan, at its beginning."""
        return BlockProgress(self._plan.block, inputs)

    def first_walk(self, progress: BlockProgress) -> Walk | None:
        """The walk with which the run begins, where one plain function stands alone at its beginning: it needs no
        event loop. What it leads to is handed to :meth:`run`."""
        first = progress.block.first
        return self._walk_from(first[0], progress) if len(first) == 1 else None

    async def run(self, inputs: Values) -> dict[str, Any]:
        """Every field that the steps wrote. Raises the first step's error (a ``LabError``, with the name of its step in
        ``errors``); those under way are cancelled then, unless errors are only to be recorded."""
        return await self._block(self._plan.block, inputs, "", "")

    async def go_on(self, progress: BlockProgress, walked: Walked) -> dict[str, Any]:
        """The same where a first walk has come so far."""
        return await self._rest(progress, walked)

    # --- blocks ---------------------------------------------------------------------------------------------------

    async def _block(self, block: Block, around: Values, place: str, parent: str) -> dict[str, Any]:
        """The fields that the block leaves behind; ``around`` holds those that come from outside. ``place`` stands
        before the steps' names in the run's memory, ``parent`` is the span that they hang under."""
        progress = BlockProgress(block, around, place, parent)
        return await self._rest(progress, Walked(block.first))

    async def _rest(self, progress: BlockProgress, walked: Walked) -> dict[str, Any]:
        """Go on from what ``walked``."""
        if walked.failure is None and len(progress.block.steps) == 1:
            await self._step(progress, 0)
            return progress.fields()
        async with FirstErrorGroup() as group:

            async def go(index: int) -> None:
                tell(await self._step(progress, index))

            async def fail(failure: Failure) -> None:
                tell(await self._alone(progress, failure.index, failure))

            def tell(ready: tuple[int, ...] | list[int]) -> None:
                for index in ready:
                    group.start(go(index))

            tell(walked.ready)
            if walked.failure is not None:
                group.start(fail(walked.failure))
        return progress.fields()

    async def _step(self, progress: BlockProgress, index: int) -> tuple[int, ...] | list[int]:
        """See a step through, and those that follow it straight; the steps that can begin now."""
        walk = self._walk_from(index, progress)
        if walk is None or self._threads is None:
            return await self._alone(progress, index)
        walked = await _walked(walk, self._threads)
        if walked.failure is not None:
            return await self._alone(progress, walked.failure.index, walked.failure)
        return walked.ready

    def _walk_from(self, index: int, progress: BlockProgress) -> Walk | None:
        settings = self._settings
        # A function whose time may run out is waited for by the loop.
        has_no_end = self.account is None or self.account.remaining_s() is None
        if self._threads is None or not has_no_end or progress.block.steps[index].straight is None:
            return None
        walk = Walk(
            index,
            progress,
            book=self.book,
            router=self._router,
            emit=self._emit,
            run_id=settings.run_id,
            memory=self._memory,
            trace_id=None if settings.trace is None else settings.trace.trace_id,
        )
        return walk if walk.can_begin() else None

    # --- one step -------------------------------------------------------------------------------------------------

    async def _alone(self, progress: BlockProgress, index: int, begun: Failure | None = None) -> list[int]:
        """See one step through, on the event loop; the steps that can begin now. ``begun``: a walk tried it first."""
        outputs = await self._guarded(progress, index, begun)
        return progress.finish(index, outputs)

    async def _guarded(self, progress: BlockProgress, index: int, begun: Failure | None) -> Values | None:
        """The step's outputs, and all that is told about them. None: it failed or was skipped, and the run goes on."""
        step = progress.block.steps[index]
        inputs = progress.inputs(index)
        if inputs is None:
            self.book.skipped(step, f"{progress.lacking(index)} gave nothing")
            return None
        key = progress.place + step.name
        if (known := self._recalled(step, key)) is not None:
            return known.outputs
        trace = self._place_in_trace() if begun is None else begun.trace
        started = self.book.began(step, trace, progress.parent) if begun is None else begun.started
        outcome: Outcome | None = None
        try:
            if isinstance(step.step, Leaf):
                outcome = await self._leaf(step, step.step, inputs, key, trace, begun)
                outputs: Values = outcome.outputs
            else:
                outputs = await self._composite(step, inputs, key, "" if trace is None else trace.span_id)
                if step.is_optional:  # where errors are only recorded, a field may be missing
                    outputs = {name: outputs.get(name) for name in step.write_names}
        except (asyncio.CancelledError, Cancelled):
            self.book.cancelled(step, started, trace)
            raise
        except Exception as error:
            return self._failed(step, started, error, trace)
        figures = self.book.succeeded(step, started, outputs, outcome, trace)
        if self._memory is not None and outcome is not None:
            await self._memory.keep(key, outputs, figures)
        return outputs

    def _place_in_trace(self) -> TraceContext | None:
        """A place for one step; None in a run that is not traced."""
        return below(self._settings.trace)

    def _failed(self, step: PlanStep, started: float, error: Exception, trace: TraceContext | None) -> Values | None:
        """What a failed step leaves where the run goes on; raises its error where it does not."""
        told = self.book.failed(step, started, error, trace, where=self._plan.source.where(step.path))
        if step.is_optional:
            return dict.fromkeys(step.write_names)
        if not self._settings.options.continue_on_error:
            raise told
        return None

    def _recalled(self, step: PlanStep, key: str) -> Remembered | None:
        """What the run's memory has of the step, told."""
        if self._memory is None:
            return None
        known = self._memory.recall(key)
        if known is not None:
            self.book.resumed(step, known)
        return known

    async def _leaf(
        self,
        step: PlanStep,
        leaf: Leaf,
        inputs: Values,
        key: str,
        trace: TraceContext | None,
        begun: Failure | None,
    ) -> Outcome:
        if leaf.operation.kind == ASK and self._ask is not None:
            return await self._ask(step.name, key, Form.of(leaf), inputs, timeout_s=leaf.options.timeout_s)
        settings = self._settings
        context = RunContext(
            self._emit,
            settings.run_id,
            step.name,
            trace,
            settings.options.stream,
            self.account,
            priority=settings.priority,
        )
        error = None if begun is None else begun.error
        return await self._router.execute(leaf.operation, inputs, options=leaf.options, context=context, begun=error)

    async def _composite(self, step: PlanStep, inputs: Values, key: str, span: str) -> Values:
        if isinstance(step.step, When):
            return await self._when(step, step.step, inputs, key, span)
        if isinstance(step.step, Each):
            return await self._each(step, step.step, inputs, key, span)
        return await self._block(step.blocks[0], inputs, _place_of(key), span)

    async def _when(self, step: PlanStep, when: When, inputs: Values, key: str, span: str) -> Values:
        """The branch that the condition chose; a field that it does not write is as it was before, or None."""
        is_true = await self._decided(step, when, inputs, mark_key(key))
        taken, other = (0, 1) if is_true else (1, 0)
        if other < len(step.blocks):
            for skipped in step.blocks[other].steps:
                self.book.skipped(skipped, "the condition chose another branch")
        found: dict[str, Any] = {name: inputs.get(name) for name in step.write_names}
        if taken < len(step.blocks):
            found.update(await self._block(step.blocks[taken], inputs, _place_of(key), span))
        return found

    async def _decided(self, step: PlanStep, when: When, inputs: Values, key: str) -> bool:
        """What the condition says, or said in an earlier life of the run."""
        if self._memory is None:
            return await self._asked(when.condition, Record(inputs))
        known = self._memory.recall(key)
        if known is not None:
            return bool(known.outputs[DECISION])
        is_true = await self._asked(when.condition, Record(inputs))
        await self._memory.keep(key, {DECISION: is_true}, StepMetrics(step.name, StepStatus.SUCCEEDED))
        return is_true

    async def _each(self, step: PlanStep, each: Each, inputs: Values, key: str, span: str) -> Values:
        """The step's outputs for every item, as lists in the items' order."""
        items = list(inputs[each.over])
        rows: list[Values] = [{} for _ in items]
        places = iter(range(len(items)))

        async def work() -> None:
            # Each worker takes the next item that is left, so that at most ``concurrency`` are under way.
            for index in places:
                around = {**inputs, each.item: items[index]}
                rows[index] = await self._block(step.blocks[0], around, item_place(key, index), span)

        async with FirstErrorGroup() as group:
            for _ in range(min(each.concurrency, len(items))):
                group.start(work())
        if self._memory is not None and self._memory.recall(mark_key(key)) is None:
            figures = StepMetrics(step.name, StepStatus.SUCCEEDED)
            await self._memory.keep(mark_key(key), {ITEMS: len(items)}, figures)
        return {name: [row.get(name) for row in rows] for name in step.write_names}

    async def _asked(self, condition: Callable[[Any], Any], fields: Record) -> bool:
        """What the user's condition says; it may take its time, so it is asked off the event loop."""
        if self._threads is None:
            answer = condition(fields)
        else:
            answer = await self._threads.run(partial(call_plain, partial(condition, fields)))
        return bool(await answer if isawaitable(answer) else answer)


async def _walked(walk: Walk, threads: Threads) -> Walked:
    """Where the walk came to. When the task is cancelled, the function that runs is left behind."""
    going = threads.submit(walk.go)
    try:
        walked = await asyncio.shield(going)
    except asyncio.CancelledError:
        if not walk.stop():  # it is between two functions, and ends at once
            await asyncio.wait({going})
        raise
    if walked is None or walked.is_stopped:
        raise asyncio.CancelledError
    return walked


def _place_of(key: str) -> str:
    """What stands before the keys beside ``key``."""
    return key[: key.rfind("/") + 1]
