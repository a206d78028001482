"""Maps whatever an operation raises to the error tree: the one edge between foreign exceptions and ours."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from dspex_lab.errors import Cancelled, LabError, PythonError
from dspex_lab.errors.foreign import text_of

__all__ = ["error_data", "format_traceback", "to_lab_error"]

#: Frames of these folders are ours, not the user's.
_OWN_FOLDER = str(Path(__file__).parent)
_MAX_TRACEBACK_CHARS = 20_000


def to_lab_error(error: BaseException) -> LabError:
    """``error`` itself when it is a ``LabError`` (or was caused by one), else a ``PythonError`` with the traceback
    from the user's first frame on."""
    if isinstance(error, KeyboardInterrupt):
        return Cancelled("The operation was interrupted.")
    name = type(error).__name__
    try:
        cause = _lab_error_behind(error)
        if cause is not None:
            return cause
        text = text_of(error).strip()
        return PythonError(f"{name}: {text}" if text else name, format_traceback(error), name)
    except BaseException as failure:  # the error's own code runs here, and its call must end all the same
        return PythonError(f"{name}: {text_of(failure)}", error_type=name)


def error_data(error: BaseException) -> dict[str, Any]:
    """The mapped error as plain data; of one whose parts cannot be shown, its class alone."""
    try:
        return to_lab_error(error).to_dict()
    except BaseException as failure:  # as above
        name = type(error).__name__
        return PythonError(f"{name}: {text_of(failure)}", error_type=name).to_dict()


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
