"""What a row is to a plan: which column is which input, checked before anything runs, and each row's own faults.

Pure; the checks of values are those of a single run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from dspex_lab.errors import LabError, PipelineError
from dspex_lab.pipelines.plan.inputs import check_inputs
from dspex_lab.pipelines.plan.plan import Plan

__all__ = ["Fitting", "fit"]


@dataclass(frozen=True, slots=True)
class Fitting:
    """How rows become inputs. ``columns`` names, for each input, the column that it is taken from."""

    plan: Plan
    columns: Mapping[str, str]

    def inputs(self, row: Mapping[str, Any]) -> dict[str, Any] | LabError:
        """The inputs in ``row``, or why it does not fit. A missing cell is no value where the input needs none."""
        found = {}
        for one in self.plan.inputs:
            column = self.columns[one.name]
            if column in row and not (row[column] is None and not one.is_required):
                found[one.name] = row[column]
        try:
            check_inputs(self.plan, found)
        except LabError as error:
            return error
        return found

    def types(self) -> dict[str, Any]:
        """The types of the columns that are inputs."""
        return {self.columns[one.name]: one.annotation for one in self.plan.inputs}

    def check_columns(self, columns: tuple[str, ...]) -> None:
        """Raise ``PipelineError`` for the first input that no column has."""
        for one in self.plan.inputs:
            column = self.columns[one.name]
            if column in columns or not one.is_required:
                continue
            near = get_close_matches(column, columns, n=1)
            others = [name for name in columns if name not in self.columns.values()]
            guess = f"Did you mean the column {near[0]!r}? " if near else ""
            example = near[0] if near else others[0] if others else "column"
            raise PipelineError(
                f"The rows have no column {column!r}, which {self.plan.name} takes as input.",
                hint=f"{guess}There are {', '.join(columns) or 'none'}; say which it is with "
                f"inputs={{{example!r}: {one.name!r}}}.",
            )


def fit(plan: Plan, inputs: Mapping[str, str]) -> Fitting:
    """How rows become inputs of ``plan``; ``inputs`` maps columns to inputs, any other has the column of its name.
    Raises ``PipelineError`` for an input that there is not."""
    known = [one.name for one in plan.inputs]
    columns = {name: name for name in known}
    for column, name in inputs.items():
        if name not in columns:
            near = get_close_matches(name, known, n=1)
            guess = f"Did you mean {near[0]!r}? " if near else ""
            raise PipelineError(
                f"{plan.name} has no input {name!r}.", hint=f"{guess}It takes {', '.join(known) or 'none'}."
            )
        columns[name] = column
    return Fitting(plan, columns)
