"""A row that is done, and the columns in which its outputs and its error are put. Values; nothing that acts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dspex_lab.calls import Usage
from dspex_lab.errors import LabError

__all__ = ["ResultColumns", "ResultRow", "error_text"]


@dataclass(frozen=True, slots=True)
class ResultRow:
    """What became of one row: its outputs by name, or its error, or both where errors of steps are only recorded.

    ``key`` is what it is known by in the batch's book (None: it is not kept there). ``is_reused``: it was done in an
    earlier life of the batch.
    """

    position: int
    row: Mapping[str, Any]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    error: LabError | None = None
    key: bytes | None = None
    is_reused: bool = False
    usage: Usage = field(default_factory=Usage)
    retries: int = 0


@dataclass(frozen=True, slots=True)
class ResultColumns:
    """The columns of a result: the row's own, one for each output, and one for the error's text.

    An output that is called like a column gets ``_out`` behind its name.
    """

    rows: tuple[str, ...]
    outputs: Mapping[str, str]
    error: str

    @classmethod
    def of(cls, rows: Sequence[str], outputs: Sequence[str]) -> ResultColumns:
        """The columns for rows with those columns and a plan with those outputs."""
        taken = set(rows)
        named: dict[str, str] = {}
        for name in outputs:
            named[name] = _free(name, taken, "_out")
            taken.add(named[name])
        return cls(tuple(rows), named, _free("error", taken, "_"))

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.rows, *self.outputs.values(), self.error)

    def cells(self, done: ResultRow) -> dict[str, Any]:
        """The row with its outputs and its error, by column."""
        cells = {name: done.row.get(name) for name in self.rows}
        cells.update({column: done.outputs.get(name) for name, column in self.outputs.items()})
        cells[self.error] = None if done.error is None else error_text(done.error)
        return cells


def error_text(error: LabError) -> str:
    """The error in one line, its kind first."""
    return f"{type(error).__name__}: {' '.join(error.message.split())}"


def _free(name: str, taken: set[str], suffix: str) -> str:
    while name in taken:
        name += suffix
    return name
