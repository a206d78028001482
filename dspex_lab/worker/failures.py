"""Maps whatever an operation raises to the error tree: the one edge between foreign exceptions and ours."""

from __future__ import annotations

import traceback
from pathlib import Path

from dspex_lab.errors import Cancelled, LabError, PythonError

__all__ = ["format_traceback", "to_lab_error"]

#: Frames of these folders are ours, not the user's.
_OWN_FOLDER = str(Path(__file__).parent)
_MAX_TRACEBACK_CHARS = 20_000


def to_lab_error(error: BaseException) -> LabError:
    """``error`` itself when it is a ``LabError`` (or was caused by one), else a ``PythonError`` with the traceback
    from the user's first frame on."""
    if isinstance(error, KeyboardInterrupt):
        return Cancelled("The operation was interrupted.")
    cause = _lab_error_behind(error)
    if cause is not None:
        return cause
    name = type(error).__name__
    text = str(error).strip()
    return PythonError(f"{name}: {text}" if text else name, format_traceback(error), name)


def _lab_error_behind(error: BaseException) -> LabError | None:
    """The first error of ours along the chain of causes: DSPy wraps what an engine raises."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, LabError):
            return current
        seen.add(id(current))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return None


def format_traceback(error: BaseException) -> str:
    """The traceback as text, without the frames of the worker itself, and bounded."""
    summary = traceback.TracebackException.from_exception(error)
    frames = [frame for frame in summary.stack if not frame.filename.startswith(_OWN_FOLDER)]
    summary.stack = traceback.StackSummary.from_list(frames)
    text = "".join(summary.format())
    if len(text) > _MAX_TRACEBACK_CHARS:
        text = f"{text[: _MAX_TRACEBACK_CHARS // 2]}\n…\n{text[-_MAX_TRACEBACK_CHARS // 2 :]}"
    return text
