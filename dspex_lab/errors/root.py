"""The root of all errors: what it says to people, and itself as plain data."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from dspex_lab.errors.foreign import repr_of
from dspex_lab.errors.users_code import is_users_file

__all__ = ["LabError", "users_line"]

#: What lies deeper in an error's values is cut: what holds itself would have no end.
_MAX_DEPTH = 50


class LabError(Exception):
    """The root. ``message`` is one sentence; ``hint`` says what to try; ``retryable`` whether to try again."""

    retryable: bool = False
    #: Attributes beside ``message`` and ``hint`` that travel over the wire; all are plain data.
    _fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, message: str, *, hint: str | None = None, retryable: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.message}\nHint: {self.hint}" if self.hint else self.message

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback: the message, the user's own line, the hint."""
        shows_place = getattr(self, "line", None) is not None or bool(getattr(self, "where", ""))
        own_line = "" if shows_place else users_line(self.__traceback__)
        lines = f"{type(self).__name__}: {self}".split("\n")
        # The place stands behind the details and before the hint.
        end = len(lines) - (self.hint.count("\n") + 1 if self.hint else 0)
        return [*lines[:end], *([own_line] if own_line else []), *lines[end:]]

    def to_dict(self) -> dict[str, Any]:
        """The error as plain data, for the wire, the journal and the panels. Never raises."""
        return _told(self, 0)


def users_line(trace: TracebackType | None) -> str:
    """The innermost line of the user's own code that ``trace`` passed through, as text; "" when there is none."""
    frames = [
        frame
        for frame in traceback.extract_tb(trace)
        if frame.line
        and is_users_file(frame.filename)
        and not frame.line.startswith("get_ipython().run_")  # what IPython makes of a magic's line
    ]
    if not frames:
        return ""
    frame = frames[-1]
    is_cell = frame.filename.startswith("<") or "ipykernel_" in frame.filename
    place = "" if is_cell else f"{Path(frame.filename).name}, "
    return f"  {place}line {frame.lineno}: {frame.line}"


def _told(error: LabError, depth: int) -> dict[str, Any]:
    return {
        "type": type(error).__name__,
        "message": _plain(error.message),
        "hint": _plain(error.hint),
        "retryable": error.retryable,
        **{name: _plain(getattr(error, name), depth) for name in error._fields},
    }


def _plain(value: Any, depth: int = 0) -> Any:
    """``value`` as data that can travel: errors as dicts, sequences as lists, and the repr of what is no data."""
    if isinstance(value, str):  # file names may hold bytes that are no UTF-8
        return value.encode("utf-8", "backslashreplace").decode()
    if value is None or isinstance(value, float) or (isinstance(value, int) and -(2**63) <= value < 2**64):
        return value
    if depth > _MAX_DEPTH:
        return "…"
    if isinstance(value, LabError):
        return _told(value, depth + 1)
    if isinstance(value, tuple | list | set | frozenset):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {str(_plain(key, depth + 1)): _plain(item, depth + 1) for key, item in value.items()}
    return _plain(repr_of(value))
