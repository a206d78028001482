"""Whether a run of the journal can go on with a plan, and what it knows then. Pure decisions; nobody is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dspex_lab.errors import PipelineError, ValidationError
from dspex_lab.pipelines.journal.classes import classes_of
from dspex_lab.pipelines.journal.records import KeptStep, RunRecord
from dspex_lab.pipelines.journal.values import read_value
from dspex_lab.pipelines.outcome.memory import Remembered
from dspex_lab.pipelines.plan.fingerprint import differing, fingerprint
from dspex_lab.pipelines.plan.plan import Plan

__all__ = ["check_same_plan", "check_under_way", "inputs_again", "not_defined", "remembered"]

#: Of a cell's text, so much is shown in a hint.
_MAX_SOURCE_CHARS = 4000


def check_under_way(record: RunRecord) -> None:
    """Raise ``PipelineError`` while the run goes on somewhere."""
    if record.is_under_way:
        raise PipelineError(
            f"The run {record.run_id[:8]} of {record.pipeline} is under way, in process {record.owner.pid}.",
            hint="Wait for its end, or cancel it in the notebook that started it.",
        )


def check_same_plan(record: RunRecord, plan: Plan, kept: Iterable[KeptStep]) -> None:
    """Raise ``PipelineError`` when ``plan`` is not the one that the run was begun with. A step that has not finished
    may have been mended; what has finished must be what it was."""
    finished = {one.step for one in kept}
    step = differing(record.prints, fingerprint(plan), finished)
    if step is None:
        return
    run = f"the run {record.run_id[:8]}"
    if all(one.name != step for one in plan.steps):
        message = f"{plan.name} has no step {step}, which {run} was begun with."
    elif all(one.name != step for one in record.prints):
        message = f"{plan.name} has a step {step}, which {run} was begun without."
    else:
        message = f"The step {step} of {plan.name} is not what it was when {run} was begun."
    raise PipelineError(
        message,
        step,
        where=next((plan.source.where(one.path) for one in plan.steps if one.name == step), ""),
        hint="What has finished, and what the steps read and write, must be as it was: run the cell as it was "
        f"(lab.run({record.run_id[:8]!r}).source), or begin a new run.",
    )


def not_defined(record: RunRecord) -> PipelineError:
    """The error for a run whose pipeline nobody has defined."""
    text = record.source[:_MAX_SOURCE_CHARS].strip("\n")
    cell = f"\n\n%%pipeline {record.pipeline}\n{text}" if text else ""
    return PipelineError(
        f"There is no pipeline {record.pipeline} here, which the run {record.run_id[:8]} is of.",
        hint=f"Run the cell that defines it, then resume again.{cell}",
    )


def remembered(record: RunRecord, plan: Plan, kept: Iterable[KeptStep]) -> dict[str, Remembered]:
    """What the run knows by the steps' keys. Raises ``PipelineError`` for a value of a class that is not known."""
    classes = classes_of(plan)
    known: dict[str, Remembered] = {}
    for one in kept:
        try:
            known[one.key] = Remembered(read_value(one.outputs, classes), one.metrics)
        except ValidationError as error:
            raise _unreadable(record, f"what {one.step} gave", error) from error
    return known


def inputs_again(record: RunRecord, plan: Plan, given: Mapping[str, Any]) -> dict[str, Any]:
    """The run's inputs: those that were written down, and ``given`` for those that could not be. Raises
    ``PipelineError`` when one of these is missing, or one of those is given."""
    classes = classes_of(plan)
    for name in given:
        if name not in record.inputs or record.inputs[name] is not None:
            raise PipelineError(
                f"The run {record.run_id[:8]} has its input {name} already."
                if name in record.inputs
                else f"The run {record.run_id[:8]} has no input {name}.",
                hint="Leave it out: a run goes on with the inputs that it was begun with.",
            )
    inputs = dict(given)
    for name, data in record.inputs.items():
        if name in given:
            continue
        if data is None:
            raise PipelineError(
                f"The input {name} could not be written down.", hint=f"Give it again: resume({name}=...)."
            )
        try:
            inputs[name] = read_value(data, classes)
        except ValidationError as error:
            raise _unreadable(record, f"the input {name}", error) from error
    return inputs


def _unreadable(record: RunRecord, what: str, error: ValidationError) -> PipelineError:
    return PipelineError(
        f"The run {record.run_id[:8]} cannot go on: {what} cannot be read. {error.message}",
        hint="Run the cell that defines the class first, and let a signature or an annotation name it.",
    )
