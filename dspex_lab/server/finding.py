"""The value that whoever reads a cell gives for each thing that is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: its line in the cell from 1, its offset in the line, and its end where that is known."""

    line: int
    start: int
    message: str
    hint: str = ""
    severity: Literal["error", "warning"] = "error"
    end: int | None = None
