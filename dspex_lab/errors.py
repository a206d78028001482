"""The error tree: one root, one class for each thing that a caller can do about it.

Every error carries a ``hint`` (what to try next) and ``retryable`` (whether the same call may succeed later),
and survives the wire: :meth:`LabError.to_dict` and :func:`error_from_dict` are inverse.
This module imports nothing of the house.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

__all__ = [
    "BudgetExceeded",
    "Cancelled",
    "CircuitOpen",
    "ConfigurationError",
    "DeadlineExceeded",
    "HostUnavailable",
    "LabError",
    "ModelError",
    "PipelineError",
    "PoolSaturated",
    "ProtocolError",
    "PythonError",
    "SessionLost",
    "SignatureError",
    "TemplateError",
    "ValidationError",
    "WorkerLost",
    "WorkerMemoryExceeded",
    "error_from_dict",
]

_OWN_FOLDER = str(Path(__file__).parent)
#: How many faults of a ValidationError are shown; ``errors`` has them all.
_MAX_FAULTS = 10


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
        own_line = "" if shows_place else _own_line(self.__traceback__)
        lines = f"{type(self).__name__}: {self}".split("\n")
        # The place stands behind the details and before the hint.
        end = len(lines) - (self.hint.count("\n") + 1 if self.hint else 0)
        return [*lines[:end], *([own_line] if own_line else []), *lines[end:]]

    def to_dict(self) -> dict[str, Any]:
        """The error as plain data, for the wire, the journal and the panels."""
        return {
            "type": type(self).__name__,
            "message": _plain(self.message),
            "hint": _plain(self.hint),
            "retryable": self.retryable,
            **{name: _plain(getattr(self, name)) for name in self._fields},
        }


class SignatureError(LabError):
    """A signature that cannot be read. ``line`` and ``column`` count from 1 in the user's own text."""

    _fields = ("signature", "field", "line", "column")

    def __init__(
        self,
        message: str,
        signature: str = "",
        field: str | None = None,
        *,
        line: int | None = None,
        column: int | None = None,
        hint: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.signature = signature
        self.field = field
        self.line = line
        self.column = column

    def __str__(self) -> str:
        parts = [self.message]
        excerpt = self.excerpt()
        if excerpt:
            parts.append(excerpt)
        if self.hint:
            parts.append(f"Hint: {self.hint}")
        return "\n".join(parts)

    def excerpt(self, *, width: int = 100) -> str:
        """The user's line with a caret under the column, or "" when the place is not known."""
        lines = self.signature.splitlines()
        if self.line is None or not 0 < self.line <= len(lines):
            return ""
        text = lines[self.line - 1]
        if self.column is None:
            return f"  line {self.line}: {text[:width]}"
        start = max(0, self.column - 1 - width // 2)
        prefix = f"  line {self.line}: " + ("…" if start else "")
        shown = text[start : start + width]
        return f"{prefix}{shown}\n{' ' * (len(prefix) + self.column - 1 - start)}^"


class ValidationError(LabError):
    """Data that breaks its signature. ``errors`` holds one ``{"field", "message", "input"}`` for each fault."""

    _fields = ("errors",)

    def __init__(
        self,
        message: str,
        errors: tuple[Mapping[str, Any], ...] = (),
        *,
        hint: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.errors = tuple(dict(error) for error in errors)

    def __str__(self) -> str:
        """The message tells the first fault; the others follow, one to a line."""
        others = [f"  `{fault.get('field')}`: {fault.get('message')}" for fault in self.errors[1:_MAX_FAULTS]]
        if len(self.errors) > _MAX_FAULTS:
            others.append(f"  … {len(self.errors) - _MAX_FAULTS} more")
        return "\n".join((self.message, *others, *([f"Hint: {self.hint}"] if self.hint else [])))


class TemplateError(LabError):
    """A template that does not compile or render; ``line`` counts from 1, ``line_text`` is what stands there."""

    _fields = ("line", "line_text")

    def __init__(
        self,
        message: str,
        *,
        line: int | None = None,
        line_text: str = "",
        hint: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.line = line
        self.line_text = line_text

    def __str__(self) -> str:
        shown = f": {self.line_text}" if self.line_text else ""
        place = "" if self.line is None else f"  line {self.line}{shown}"
        hint = f"Hint: {self.hint}" if self.hint else ""
        return "\n".join(part for part in (self.message, place, hint) if part)


class ConfigurationError(LabError):
    """A setting that cannot be used: which key, what was expected, what was there."""

    _fields = ("config_key", "expected", "actual")

    def __init__(
        self,
        message: str,
        config_key: str = "",
        expected: str = "",
        actual: str = "",
        *,
        hint: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.config_key = config_key
        self.expected = expected
        self.actual = actual


class PythonError(LabError):
    """What failed inside a worker: the foreign exception's type name and the worker's own traceback.

    ``where`` is the user's line in it as text for people, when it is known.
    """

    _fields = ("traceback", "error_type", "where")

    def __init__(
        self,
        message: str,
        traceback: str = "",
        error_type: str = "",
        *,
        where: str = "",
        hint: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.traceback = traceback
        self.error_type = error_type
        self.where = where

    def __str__(self) -> str:
        hint = f"Hint: {self.hint}" if self.hint else ""
        return "\n".join(part for part in (self.message, self.where, hint) if part)


class ModelError(LabError):
    """A language model that is not there, refuses, or answers with nothing that can be used.

    ``status`` is the provider's HTTP status; 413 stands for a prompt that is too long, whoever says so.
    """

    _fields = ("model", "status", "retry_after_s")

    def __init__(
        self,
        message: str,
        model: str = "",
        status: int | None = None,
        *,
        retry_after_s: float | None = None,
        hint: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.model = model
        self.status = status
        #: How long the provider asks to wait before the next try, in seconds.
        self.retry_after_s = retry_after_s


class PipelineError(LabError):
    """A run that ended without its result, or a plan that cannot run: the step and every error on the way.

    ``where`` is the user's own line as text for people (file or cell, line, source, caret), ``traceback`` the whole
    of what Python said, kept folded.
    """

    _fields = ("step", "accumulated_errors", "where", "traceback")

    def __init__(
        self,
        message: str,
        step: str | None = None,
        accumulated_errors: tuple[Any, ...] = (),
        *,
        where: str = "",
        traceback: str = "",
        hint: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.step = step
        self.accumulated_errors = tuple(accumulated_errors)
        self.where = where
        self.traceback = traceback

    def __str__(self) -> str:
        hint = f"Hint: {self.hint}" if self.hint else ""
        return "\n".join(part for part in (self.message, self.where, hint) if part)


class PoolSaturated(LabError):
    """The pool's queue is full; nothing was queued."""

    retryable = True


class DeadlineExceeded(LabError):
    """The call's time was used up, in the queue or while it ran."""

    retryable = True


class BudgetExceeded(LabError):
    """The run has used up what its budget allows: ``spent`` of ``limit``, in ``unit`` ("tokens" or "dollars")."""

    _fields = ("unit", "limit", "spent")

    def __init__(
        self,
        message: str,
        unit: str = "",
        limit: float = 0,
        spent: float = 0,
        *,
        hint: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.unit, self.limit, self.spent = unit, limit, spent


class Cancelled(LabError):
    """The call was cancelled by its caller."""


class WorkerLost(LabError):
    """The worker died while it had the call; whether the call took effect is not known."""

    retryable = True


class WorkerMemoryExceeded(LabError):
    """The worker was killed because it used more memory than its pool allows."""


class SessionLost(LabError):
    """The session's worker is gone, and its state with it."""


class CircuitOpen(LabError):
    """The target failed too often lately; calls to it are refused until a probe succeeds."""

    retryable = True
    retry_after_s: float | None = None  # when a probe is let through; known in the refusing process only


class HostUnavailable(LabError):
    """No pool host could be reached or started."""

    retryable = True


class ProtocolError(LabError):
    """The other side broke the protocol: an unknown version, an unknown field, or bytes that are no message."""


_ALL: tuple[type[LabError], ...] = (LabError, *LabError.__subclasses__())
_BY_NAME: dict[str, type[LabError]] = {cls.__name__: cls for cls in _ALL}


def error_from_dict(data: Mapping[str, Any]) -> LabError:
    """The error that :meth:`LabError.to_dict` wrote; a type that is not known here, and data that is no error at
    all, become a :class:`PythonError`. Never raises: whoever waits for the end of a call must get one."""
    name, message = str(data.get("type")), str(data.get("message", "unknown error"))
    cls = _BY_NAME.get(name, PythonError)
    try:
        fields = {field: _thaw(data[field]) for field in cls._fields if data.get(field) is not None}
        return cls(message, hint=data.get("hint"), retryable=data.get("retryable"), **fields)
    except (TypeError, ValueError):
        return PythonError(message, error_type=name)


def _own_line(trace: TracebackType | None) -> str:
    """The innermost line of the user's own code that ``trace`` passed through, as text; "" when there is none."""
    frames = [
        frame
        for frame in traceback.extract_tb(trace)
        if frame.line
        and not frame.filename.startswith((_OWN_FOLDER, sys.prefix, sys.base_prefix))
        and not frame.line.startswith("get_ipython().run_")  # what IPython makes of a magic's line
    ]
    if not frames:
        return ""
    frame = frames[-1]
    is_cell = frame.filename.startswith("<") or "ipykernel_" in frame.filename
    place = "" if is_cell else f"{Path(frame.filename).name}, "
    return f"  {place}line {frame.lineno}: {frame.line}"


def _plain(value: Any) -> Any:
    """``value`` as data that can travel: errors as dicts, sequences as lists, and the repr of what is no data."""
    if isinstance(value, LabError):
        return value.to_dict()
    if isinstance(value, str):  # file names may hold bytes that are no UTF-8
        return value.encode("utf-8", "backslashreplace").decode()
    if value is None or isinstance(value, float) or (isinstance(value, int) and -(2**63) <= value < 2**64):
        return value
    if isinstance(value, tuple | list | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    return _plain(repr(value))


def _thaw(value: Any) -> Any:
    """The inverse of :func:`_plain`."""
    if isinstance(value, list):
        return tuple(_thaw(item) for item in value)
    if isinstance(value, dict) and {"type", "message", "retryable"} <= value.keys():
        return error_from_dict(value)
    return value
