"""A run that is not of this process, or no more: what the journal knows of it, and the way to go on with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from dspex_lab.errors import LabError, PipelineError, ValidationError, error_from_dict
from dspex_lab.pipelines.journal.records import KeptStep, RunRecord
from dspex_lab.pipelines.journal.values import read_value
from dspex_lab.pipelines.outcome.record import Record
from dspex_lab.pipelines.outcome.result import Metrics, StepMetrics, summed
from dspex_lab.pipelines.run.run import Run
from dspex_lab.router import Budget, checked_budget

__all__ = ["PastRun", "Unread"]


@dataclass(frozen=True, slots=True)
class Unread:
    """Stands for a value whose class is not defined here, or that was not written down; ``reason`` says which."""

    reason: str


class PastRun:
    """A run as it was written down. :meth:`resume` goes on with it, :meth:`rerun` begins it again."""

    def __init__(
        self,
        record: RunRecord,
        *,
        steps: Callable[[], list[KeptStep]],
        states: Callable[[], list[tuple[float, str]]],
        classes: Collection[type],
        resume: Callable[[str, Mapping[str, Any], Budget | None], Run],
        rerun: Callable[[str, str | None, Mapping[str, Any]], Run],
    ) -> None:
        self._record = record
        self._find_steps = steps
        self._find_states = states
        self._classes = classes
        self._resume = resume
        self._rerun = rerun

    @property
    def id(self) -> str:
        return self._record.run_id

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        return self._record.pipeline

    @property
    def source(self) -> str:
        """The text of the cell that defined it."""
        return self._record.source

    @cached_property
    def state(self) -> str:
        """Its last state; "interrupted" when its process went away from it."""
        return self._record.state

    @property
    def started(self) -> datetime:
        return datetime.fromtimestamp(self._record.started_at, UTC)

    @cached_property
    def states(self) -> tuple[tuple[datetime, str], ...]:
        """The states that it went through, each with its time."""
        return tuple((datetime.fromtimestamp(at, UTC), state) for at, state in self._find_states())

    @cached_property
    def inputs(self) -> dict[str, Any]:
        return {name: self._read(data) for name, data in self._record.inputs.items()}

    @cached_property
    def steps(self) -> Mapping[str, Record]:
        """What each finished step gave; inside ``each`` every item has a key of its own (``rows[3]/rows.item``)."""
        return {one.key: self._outputs(one) for one in self._kept if not one.key.endswith("?")}

    @cached_property
    def metrics(self) -> Metrics:
        """What the steps took so far."""
        found: dict[str, StepMetrics] = {}
        for one in self._kept:
            if not one.key.endswith("?"):
                before = found.get(one.step)
                found[one.step] = one.metrics if before is None else summed(before, one.metrics)
        return Metrics(found, duration_s=self._record.duration_s)

    @property
    def error(self) -> LabError | None:
        """What it ended with, or None."""
        return None if self._record.error is None else error_from_dict(self._record.error)

    def resume(self, budget: Budget | None = None, /, **inputs: Any) -> Run:
        """Go on with the run, under its id, with the pipeline that has its name now; what has finished is not done
        again, and what was spent is spent: a larger ``budget`` takes the place of its own. ``inputs`` are those that
        could not be written down. Raises ``PipelineError`` while it is under way
        somewhere, and when the pipeline is another one or not there."""
        return self._resume(self.id, inputs, checked_budget(budget))

    def rerun(self, step: str | None = None, /, **inputs: Any) -> Run:
        """Run again from ``step`` on, with the same inputs: a new :class:`Run` of the pipeline that has its name now.
        The step and what depends on it are run, all else that has finished is kept; without a step, everything is run.
        ``inputs`` are those that could not be written down. Raises ``PipelineError`` while the run is under way
        somewhere, for a step that is not known, and when the pipeline is another one or not there."""
        return self._rerun(self.id, step, inputs)

    def answer(self, value: Any = None, /, **fields: Any) -> None:
        """A run asks where it runs: raises ``PipelineError`` with the way there."""
        raise PipelineError(
            f"The run {self.id[:8]} is not under way here, and asks nothing.",
            hint=f'Go on with it, then answer: run = lab.run("{self.id[:8]}").resume(); run.answer(...).',
        )

    @cached_property
    def _kept(self) -> list[KeptStep]:
        return self._find_steps()

    def _outputs(self, one: KeptStep) -> Record:
        found = self._read(one.outputs)
        return Record(found if isinstance(found, Mapping) else {one.step: found})

    def _read(self, data: bytes | None) -> Any:
        if data is None:
            return Unread("It could not be written down.")
        try:
            return read_value(data, self._classes)
        except ValidationError as error:
            return Unread(error.message)

    def __repr__(self) -> str:
        one = self._record
        return f"<PastRun {one.pipeline} {one.run_id[:8]} [{self.state}, steps: {one.steps_done}/{one.step_count}]>"
