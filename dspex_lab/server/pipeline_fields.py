"""What is wrong between the steps of a ``%%pipeline`` cell that nobody has run: the compiler's own rules, words and
places, applied to the steps that the cell's text makes certain. Pure; nothing of the cell is executed.

Says nothing where it is in doubt. "Missing" is an input of ``--run``: other fields that no step writes are inputs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dspex_lab.errors import PipelineError
from dspex_lab.magics.pipeline_line import PipelineLine
from dspex_lab.pipelines import Plan, Step, compile_plan
from dspex_lab.pipelines.plan.inputs import check_names
from dspex_lab.pipelines.steps.places import note_places, target_of
from dspex_lab.pipelines.steps.source import Source, StepPath
from dspex_lab.server.finding import Finding
from dspex_lab.server.notebook_names import NotebookNames
from dspex_lab.server.step_reading import Refused, StepReader
from dspex_lab.server.unclear import guises

__all__ = ["lint_fields"]


@dataclass(frozen=True, slots=True)
class _Places(Source):
    """Says where a step stands as numbers: an editor has its own way to show the line."""

    def where(self, path: StepPath) -> str:
        place = self._place(path)
        return f"{place[0]}:{place[1] - 1}" if place else ""


def lint_fields(tree: ast.Module, names: NotebookNames, asked: PipelineLine) -> Iterator[Finding]:
    """The faults between the steps of ``tree``, whose lines are those of the cell; their starts are in bytes, as
    Python's parser has them. ``asked`` is what the cell's first line asks for; the starts of its faults are columns of
    it."""
    places: dict[StepPath, tuple[int, int]] = {}
    for statement in tree.body:
        if (target := target_of(statement)) is not None:
            note_places(statement, (target,), places)
    try:
        steps = StepReader(names).steps(tree)
    except Refused as refused:
        place = refused.call
        yield Finding(place.lineno, place.col_offset, refused.error.message, refused.error.hint or "")
        return
    certain: dict[Finding, None] | None = None
    for guise in guises(steps, asked.inputs) if steps else ():
        found = dict.fromkeys(_findings(asked, guise, _Places("", places)))
        certain = found if certain is None else {one: None for one in certain if one in found}
        if not certain:
            return
    yield from certain or ()


def _findings(asked: PipelineLine, steps: Mapping[str, Step], source: Source) -> Iterator[Finding]:
    """All that is wrong with the steps as they are here."""
    if not steps:
        return
    try:
        plan = compile_plan(asked.name, steps, source=source)
    except PipelineError as error:
        yield _finding(error.where, error.message, error.hint)
        return
    for one in plan.warnings:
        yield _finding(one.where, one.message, one.hint, is_error=False)
    if asked.is_run or (asked.is_dry_run and asked.inputs):
        yield from _of_inputs(plan, asked)


def _of_inputs(plan: Plan, asked: PipelineLine) -> Iterator[Finding]:
    known = {one.name for one in plan.inputs}
    try:
        check_names(plan, asked.inputs)
    except PipelineError as error:
        unknown = next((name for name in asked.inputs if name not in known), None)
        where = error.where if unknown is None else f"1:{asked.places[unknown]}"
        yield _finding(where, error.message, error.hint)


def _finding(where: str, message: str, hint: str | None, *, is_error: bool = True) -> Finding:
    line, _, column = where.partition(":")
    return Finding(int(line or 1), int(column or 0), message, hint or "", "error" if is_error else "warning")
