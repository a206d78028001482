"""Running a step of a finished run again: what is kept of the run then, and the run's own way to it.

"From here" means the step and all that reads what it gives, directly or not; everything else is as it was.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Protocol

from dspex_lab.calls import Usage
from dspex_lab.errors import ConfigurationError, PipelineError
from dspex_lab.pipelines.outcome.memory import Remembered
from dspex_lab.pipelines.outcome.result import Metrics, StepMetrics, StepStatus
from dspex_lab.pipelines.plan.plan import Block, Plan, PlanStep
from dspex_lab.pipelines.run.options import RunOptions

if TYPE_CHECKING:
    from dspex_lab.pipelines.run.run import Run

__all__ = ["KnownSteps", "Repeatable", "StartAgain", "affected_steps", "as_kept", "kept", "repeatable_steps"]


class StartAgain(Protocol):
    """How a run begins that knows some of its steps; ``Launcher.start_again`` is one."""

    def __call__(
        self,
        plan: Plan,
        inputs: Mapping[str, Any],
        known: Mapping[str, Remembered],
        *,
        options: RunOptions,
        is_program: bool,
    ) -> Run: ...


class KnownSteps:
    """A run's memory of what another run gave; what this one gives is nobody's to keep."""

    def __init__(self, known: Mapping[str, Remembered]) -> None:
        self._known = known

    def recall(self, key: str) -> Remembered | None:
        return self._known.get(key)

    async def keep(self, key: str, outputs: Mapping[str, Any], metrics: StepMetrics) -> None:
        """Nothing goes on with a run that was not written down."""

    def keep_here(self, key: str, outputs: Mapping[str, Any], metrics: StepMetrics) -> None:
        """The same on a thread."""


class Repeatable(abc.ABC):
    """A run that can be run again from one of its steps on, once it is over."""

    #: Set by who started the run.
    start_again: StartAgain | None = None

    @property
    @abc.abstractmethod
    def id(self) -> str:
        """The run's."""

    @property
    @abc.abstractmethod
    def plan(self) -> Plan:
        """What is run."""

    @property
    @abc.abstractmethod
    def inputs(self) -> Mapping[str, Any]:
        """What it was given."""

    @property
    @abc.abstractmethod
    def is_over(self) -> bool:
        """Whether it has ended."""

    @property
    @abc.abstractmethod
    def options(self) -> RunOptions:
        """Those that it was begun with."""

    @abc.abstractmethod
    def finished(self) -> tuple[Mapping[str, Mapping[str, Any]], Metrics, bool]:
        """What its steps gave and took, by name, and whether it is a program's."""

    def rerun(self, step: str | None = None) -> Run:
        """Run again from ``step`` on, with the same inputs: a new :class:`Run`. The step and what depends on it are
        run, all else is kept; without a step, everything is run. Raises ``PipelineError`` while the run is under way,
        and for a step that is not known or is a part of an ``each``."""
        if self.start_again is None:
            raise ConfigurationError("The run cannot be begun again: nobody is there to do it.", "start_again")
        if not self.is_over:
            raise PipelineError(f"The run {self.id[:8]} is under way.", hint="Wait for it: run.result().")
        outputs, metrics, is_program = self.finished()
        known = {} if step is None else kept(self.plan, step, outputs, metrics)
        return self.start_again(self.plan, self.inputs, known, options=self.options, is_program=is_program)


def repeatable_steps(plan: Plan) -> tuple[str, ...]:
    """The steps from which a run can be run again: all but the parts of an ``each``, whose items are not known."""
    return tuple(step.name for step, _ in _outside_each(plan.block, ()))


def affected_steps(plan: Plan, step: str) -> set[str]:
    """The steps that run again when ``plan`` does from ``step`` on: it, and all that depends on it, with those inside
    them. Raises ``PipelineError``."""
    ways = {one.name: way for one, way in _outside_each(plan.block, ())}
    if step not in ways:
        raise _unknown(plan, step, ways)
    return _again(plan.block, ways[step])


def as_kept(outputs: Mapping[str, Any], metrics: StepMetrics) -> Remembered:
    """What a step of another run gave: what it used was paid for by that."""
    return Remembered(outputs, replace(metrics, usage=Usage(), retries=0))


def kept(
    plan: Plan, step: str, outputs: Mapping[str, Mapping[str, Any]], metrics: Mapping[str, StepMetrics]
) -> dict[str, Remembered]:
    """What a run knows at its beginning that is to run again from ``step`` on. Raises ``PipelineError``."""
    again = affected_steps(plan, step)
    return {
        one.name: as_kept(outputs[one.name], metrics[one.name])
        for one in _memorable(plan.block)
        if one.name not in again and one.name in outputs and metrics[one.name].status == StepStatus.SUCCEEDED
    }


def _again(block: Block, way: tuple[int, ...]) -> set[str]:
    """The steps that are to run again, those inside them included; ``way`` leads to the first by the indices of the
    steps around it."""
    index, *rest = way
    affected = set(_after(block, index))
    names = {inner.name for other in affected for inner in _whole(block.steps[other])}
    first = block.steps[index]
    if not rest:
        return names | {inner.name for inner in _whole(first)}
    place, *deeper = rest
    return names | {first.name} | _again(first.blocks[place], tuple(deeper))


def _after(block: Block, index: int) -> Iterator[int]:
    """Every step that needs this one, directly or not."""
    seen: set[int] = set()
    waiting = list(block.needed_by[index])
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting += block.needed_by[one]
            yield one


def _whole(step: PlanStep) -> Iterator[PlanStep]:
    yield step
    for block in step.blocks:
        yield from block


def _outside_each(block: Block, way: tuple[int, ...]) -> Iterator[tuple[PlanStep, tuple[int, ...]]]:
    """Every step that is no part of an ``each``, with the way to it: a step's index, a block's place in it, ..."""
    for index, step in enumerate(block.steps):
        here = (*way, index)
        yield step, here
        if step.kind != "each":
            for place, inner in enumerate(step.blocks):
                yield from _outside_each(inner, (*here, place))


def _memorable(block: Block) -> Iterator[PlanStep]:
    """The steps whose outputs are known as one value: those that hold no others, and each ``each`` as a whole."""
    for step, _ in _outside_each(block, ()):
        if not step.blocks or step.kind == "each":
            yield step


def _unknown(plan: Plan, step: str, known: Iterable[str]) -> PipelineError:
    names = list(known)
    around = next((one for one in plan.steps if one.name == step), None)
    if around is not None:
        return PipelineError(
            f"{step} is a part of an each, and cannot be run again alone.",
            step,
            hint="Run again from the each around it.",
        )
    near = get_close_matches(step, names, n=1)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    return PipelineError(f"{plan.name} has no step {step}.", step, hint=f"{guess}It has {', '.join(names)}.")
