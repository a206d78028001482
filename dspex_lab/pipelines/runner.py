"""Carries a plan out: steps as soon as what they read is there, side by side where they can.

One :class:`PlanRun` per run, on the event loop. Emits ``pipeline.step`` for each step; the run's own events and its
state are ``run``'s business.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from dspex_lab.calls import Priority, TraceContext
from dspex_lab.clock import Clock
from dspex_lab.errors import Cancelled, LabError
from dspex_lab.pipelines.asking import ASK, Form
from dspex_lab.pipelines.failures import as_lab_error
from dspex_lab.pipelines.memory import DECISION, Remembered, StepMemory, decision_key, item_place
from dspex_lab.pipelines.options import RunOptions
from dspex_lab.pipelines.plain import plain
from dspex_lab.pipelines.plan import Block, Plan, PlanStep
from dspex_lab.pipelines.record import Record
from dspex_lab.pipelines.result import StepMetrics, StepStatus, usage_data
from dspex_lab.pipelines.steps import Each, Leaf, When
from dspex_lab.router import Account, EmitEvent, Outcome, Router, RunContext

__all__ = ["AskPeople", "PlanRun", "RunSettings", "summed"]

Values = Mapping[str, Any]


class AskPeople(Protocol):
    """How a step that asks gets its answer; ``Questions.ask`` is one."""

    async def __call__(
        self, step: str, key: str, form: Form, inputs: Values, *, timeout_s: float | None
    ) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What holds for a whole run: its id, and how it is to go.

    ``priority`` "batch" lets the calls of those who wait go first; a run that is not traced leaves no spans."""

    run_id: str
    options: RunOptions = field(default_factory=RunOptions)
    priority: Priority = "interactive"
    is_traced: bool = True


class PlanRun:
    """One run of a plan. ``metrics``, ``records`` and ``errors`` grow by step name while :meth:`run` goes on."""

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
    ) -> None:
        self._plan = plan
        self._router = router
        self._settings = settings
        self._emit = emit
        self._clock = clock
        self._memory = memory
        self._ask = ask
        self.metrics: dict[str, StepMetrics] = {}
        self.records: dict[str, Record] = {}
        self.errors: dict[str, LabError] = {}
        #: What the run has used of its budget, from its start on; None without a budget.
        self.account: Account | None = None

    async def run(self, inputs: Values) -> dict[str, Any]:
        """Every field that the steps wrote. Raises the first step's error (a ``LabError``, with the name of its step in
        ``errors``); those under way are cancelled then, unless errors are only to be recorded."""
        budget = self._settings.options.budget
        self.account = None if budget is None else Account(budget, self._clock)
        return await self._block(self._plan.block, inputs, "")

    # --- blocks ---------------------------------------------------------------------------------------------------

    async def _block(self, block: Block, around: Values, place: str) -> dict[str, Any]:
        """The fields that the block leaves behind; ``around`` holds those that come from outside. ``place`` stands
        before the steps' names in the run's memory."""
        if len(block.steps) == 1:
            return dict(await self._guarded(block.steps[0], _inputs(block.steps[0], (), around), place) or {})
        outputs: list[Values | None] = [None] * len(block.steps)
        waiting = [len(step.needs) for step in block.steps]

        async with _FirstErrorGroup() as group:

            def start(index: int) -> None:
                group.start(run_step(index))

            async def run_step(index: int) -> None:
                step = block.steps[index]
                outputs[index] = await self._guarded(step, _inputs(step, outputs, around), place)
                for other in block.needed_by[index]:
                    waiting[other] -= 1
                    if waiting[other] == 0:
                        start(other)

            for index, count in enumerate(list(waiting)):
                if count == 0:
                    start(index)

        found: dict[str, Any] = {}
        for name, index in block.last.items():
            values = outputs[index]
            if values is not None and name in values:
                found[name] = values[name]
        return found

    # --- one step -------------------------------------------------------------------------------------------------

    async def _guarded(self, step: PlanStep, inputs: Values | None, place: str) -> Values | None:
        """The step's outputs, and all that is told about them. None: it failed or was skipped, and the run goes on."""
        if inputs is None:
            self._tell_skipped(step)
            return None
        key = place + step.name
        if (known := self._recalled(step, key)) is not None:
            return known.outputs
        started = self._clock.monotonic()
        self._tell(step, StepStatus.RUNNING)
        outcome: Outcome | None = None
        try:
            if isinstance(step.step, Leaf):
                outcome = await self._leaf(step, step.step, inputs, key)
                outputs: Values = outcome.outputs
            else:
                outputs = await self._composite(step, inputs, key)
        except (asyncio.CancelledError, Cancelled):
            self._ended(step, StepStatus.CANCELLED, started)
            raise
        except Exception as error:
            self._failed(step, error, started)
            return None
        figures = self._ended(step, StepStatus.SUCCEEDED, started, outputs=outputs, outcome=outcome)
        if self._memory is not None and outcome is not None:
            await self._memory.keep(key, outputs, figures)
        return outputs

    def _recalled(self, step: PlanStep, key: str) -> Remembered | None:
        """What the run's memory has of the step, told; only leaves are kept."""
        if self._memory is None or step.blocks:
            return None
        known = self._memory.recall(key)
        if known is not None:
            self._count(known.metrics)
            self.records[step.name] = Record(known.outputs)
            outputs = {name: plain(value) for name, value in known.outputs.items()}
            self._tell(step, StepStatus.SUCCEEDED, resumed=True, duration_s=known.metrics.duration_s, outputs=outputs)
        return known

    async def _leaf(self, step: PlanStep, leaf: Leaf, inputs: Values, key: str) -> Outcome:
        if leaf.operation.kind == ASK and self._ask is not None:
            return await self._ask(step.name, key, Form.of(leaf), inputs, timeout_s=leaf.options.timeout_s)
        settings = self._settings
        trace = TraceContext(settings.run_id, secrets.token_hex(8)) if settings.is_traced else None
        context = RunContext(
            self._emit,
            settings.run_id,
            step.name,
            trace,
            settings.options.stream,
            self.account,
            priority=settings.priority,
        )
        return await self._router.execute(leaf.operation, inputs, options=leaf.options, context=context)

    async def _composite(self, step: PlanStep, inputs: Values, key: str) -> Values:
        if isinstance(step.step, When):
            return await self._when(step, step.step, inputs, key)
        if isinstance(step.step, Each):
            return await self._each(step, step.step, inputs, key)
        return await self._block(step.blocks[0], inputs, _place_of(key))

    async def _when(self, step: PlanStep, when: When, inputs: Values, key: str) -> Values:
        """The branch that the condition chose; a field that it does not write is as it was before, or None."""
        is_true = await self._decided(step, when, inputs, decision_key(key))
        taken, other = (0, 1) if is_true else (1, 0)
        if other < len(step.blocks):
            for skipped in step.blocks[other]:
                self._tell(skipped, StepStatus.SKIPPED)
        found: dict[str, Any] = {name: inputs.get(name) for name in step.write_names}
        if taken < len(step.blocks):
            found.update(await self._block(step.blocks[taken], inputs, _place_of(key)))
        return found

    async def _decided(self, step: PlanStep, when: When, inputs: Values, key: str) -> bool:
        """What the condition says, or said in an earlier life of the run."""
        if self._memory is None:
            return bool(when.condition(Record(inputs)))
        known = self._memory.recall(key)
        if known is not None:
            return bool(known.outputs[DECISION])
        is_true = bool(when.condition(Record(inputs)))
        await self._memory.keep(key, {DECISION: is_true}, StepMetrics(step.name, StepStatus.SUCCEEDED))
        return is_true

    async def _each(self, step: PlanStep, each: Each, inputs: Values, key: str) -> Values:
        """The step's outputs for every item, as lists in the items' order."""
        items = list(inputs[each.over])
        rows: list[Values] = [{} for _ in items]
        places = iter(range(len(items)))

        async def work() -> None:
            # Each worker takes the next item that is left, so that at most ``concurrency`` are under way.
            for index in places:
                around = {**inputs, each.item: items[index]}
                rows[index] = await self._block(step.blocks[0], around, item_place(key, index))

        async with _FirstErrorGroup() as group:
            for _ in range(min(each.concurrency, len(items))):
                group.start(work())
        return {name: [row.get(name) for row in rows] for name in step.write_names}

    # --- what is told ---------------------------------------------------------------------------------------------

    def _failed(self, step: PlanStep, error: Exception, started: float) -> None:
        """Record and tell the failure; raise it unless the run goes on."""
        told = as_lab_error(error, step.name, self._plan.source.where(step.path))
        is_first_to_know = not any(told is known for known in self.errors.values())
        if is_first_to_know:
            self.errors[step.name] = told
            self._emit("error.pipeline", None, run_id=self._settings.run_id, step=step.name, error=told.to_dict())
        self._ended(step, StepStatus.FAILED, started, error=told)
        if not self._settings.options.continue_on_error:
            raise told

    def _ended(
        self,
        step: PlanStep,
        status: StepStatus,
        started: float,
        *,
        outputs: Values | None = None,
        outcome: Outcome | None = None,
        error: LabError | None = None,
    ) -> StepMetrics:
        duration_s = self._clock.monotonic() - started
        figures = _figures(step.name, status, duration_s, outcome)
        self._count(figures)
        told: dict[str, Any] = {"duration_s": duration_s}
        if outputs is not None:
            self.records[step.name] = Record(outputs)
            told["outputs"] = {name: plain(value) for name, value in outputs.items()}
        if outcome is not None:
            told |= {"usage": usage_data(outcome.usage), "cached": outcome.cached, "retries": outcome.retries}
        if error is not None:
            told["error"] = error.to_dict()
        self._tell(step, status, **told)
        return figures

    def _count(self, figures: StepMetrics) -> None:
        known = self.metrics.get(figures.step)
        self.metrics[figures.step] = figures if known is None else summed(known, figures)

    def _tell_skipped(self, step: PlanStep) -> None:
        self.metrics[step.name] = StepMetrics(step.name, StepStatus.SKIPPED)
        self._tell(step, StepStatus.SKIPPED)
        for block in step.blocks:
            for inner in block:
                self._tell(inner, StepStatus.SKIPPED)

    def _tell(self, step: PlanStep, status: StepStatus, **attributes: Any) -> None:
        self._emit(
            "pipeline.step", None, run_id=self._settings.run_id, step=step.name, status=str(status), **attributes
        )


class _FirstErrorGroup:
    """A task group that raises the first error as it is, not a group of one."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self._group.create_task(work)
        except RuntimeError:
            # The group is shutting down: a user's function that swallowed its cancellation got here too late.
            work.close()

    async def __aenter__(self) -> _FirstErrorGroup:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *details: Any) -> None:
        first: BaseException | None = None
        try:
            await self._group.__aexit__(*details)
        except BaseExceptionGroup as group:
            first = _first(group)
        # Raised out here, or the group would be its context, and IPython shows groups its own long way.
        if first is not None:
            raise first


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _place_of(key: str) -> str:
    """What stands before the keys beside ``key``."""
    return key[: key.rfind("/") + 1]


def _inputs(step: PlanStep, outputs: Any, around: Values) -> dict[str, Any] | None:
    """What the step reads, by name; None when a step that it reads has no outputs."""
    found: dict[str, Any] = {}
    for name in step.read_names:
        source = step.sources.get(name)
        if source is None:
            if name in around:
                found[name] = around[name]
            continue
        values = outputs[source]
        if values is None or name not in values:
            return None
        found[name] = values[name]
    return found


def _figures(name: str, status: StepStatus, duration_s: float, outcome: Outcome | None) -> StepMetrics:
    if outcome is None:
        return StepMetrics(name, status, duration_s)
    return StepMetrics(
        name,
        status,
        duration_s,
        outcome.usage,
        outcome.route,
        outcome.target,
        outcome.worker,
        outcome.queue_s,
        outcome.run_s,
        outcome.retries,
        outcome.cached,
        outcome.first_token_s,
    )


def summed(known: StepMetrics, more: StepMetrics) -> StepMetrics:
    """The figures of several turns of one step; a turn that failed marks them all."""
    status = known.status if known.status != StepStatus.SUCCEEDED else more.status
    return replace(
        more,
        status=status,
        duration_s=known.duration_s + more.duration_s,
        usage=known.usage + more.usage,
        queue_s=known.queue_s + more.queue_s,
        run_s=known.run_s + more.run_s,
        retries=known.retries + more.retries,
        first_token_s=known.first_token_s,
        turns=known.turns + 1,
    )
