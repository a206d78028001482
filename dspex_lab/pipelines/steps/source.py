"""Where a step stands in the user's own text, and the user's own line in a traceback.

Text and line numbers only; knows nothing of plans.
"""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from dspex_lab.errors.users_code import is_users_file

__all__ = ["NO_SOURCE", "Source", "excerpt", "user_line", "worker_line"]

StepPath = tuple[str, ...]
_FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+), in .*$')
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Source:
    """A pipeline's text; ``places`` holds line and column (from 1) of each step by its path."""

    text: str = ""
    places: Mapping[StepPath, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))

    def line(self, path: StepPath) -> int | None:
        """The line of the step, or of the innermost step around it that has one."""
        place = self._place(path)
        return place[0] if place else None

    def where(self, path: StepPath) -> str:
        """The step's line with a caret, or "" when it has none."""
        place = self._place(path)
        return excerpt(self.text, *place) if place else ""

    def _place(self, path: StepPath) -> tuple[int, int] | None:
        for length in range(len(path), 0, -1):
            if (place := self.places.get(path[:length])) is not None:
                return place
        return None


NO_SOURCE = Source()


def excerpt(text: str, line: int, column: int | None = None) -> str:
    """Line number ``line`` of ``text``, with a caret under ``column`` when it is known; both count from 1."""
    lines = text.splitlines()
    if not 0 < line <= len(lines):
        return ""
    prefix = f"  line {line}: "
    shown = f"{prefix}{lines[line - 1][:_WIDTH]}"
    if column is None or column > _WIDTH:
        return shown
    return f"{shown}\n{' ' * (len(prefix) + column - 1)}^"


def user_line(error: BaseException) -> str:
    """``FILE, line N: source`` of the innermost frame that is the user's own, or ""."""
    found = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if is_users_file(frame.filename):
            found = _line_text(frame.filename, frame.lineno or 0, frame.line or "")
    return found


def worker_line(text: str) -> str:
    """The same, out of a worker's traceback as text."""
    found = ""
    for file, line, shown in _frames(text):
        if is_users_file(file):
            found = _line_text(file, line, shown)
    return found


def _frames(text: str) -> Iterator[tuple[str, int, str]]:
    lines = text.splitlines()
    for index, line in enumerate(lines):
        match = _FRAME.match(line)
        if match:
            following = lines[index + 1] if index + 1 < len(lines) else ""
            shown = following.strip() if following.startswith("    ") else ""
            yield match["file"], int(match["line"]), shown


def _line_text(file: str, line: int, shown: str) -> str:
    source = shown or linecache.getline(file, line).strip()
    name = file if file.startswith("<") else Path(file).name
    name = "a cell" if _is_cell(file) else name
    return f"  {name}, line {line}: {source}"


def _is_cell(file: str) -> bool:
    return "ipykernel_" in file or file.startswith("<ipython-input")
