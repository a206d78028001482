"""What goes wrong with calls and runs while they are under way: theirs, a model's, a worker's, the host's."""

from __future__ import annotations

from typing import Any

from dspex_lab.errors.root import LabError

__all__ = [
    "BudgetExceeded",
    "Cancelled",
    "CircuitOpen",
    "DeadlineExceeded",
    "HostUnavailable",
    "ModelError",
    "PipelineError",
    "PoolSaturated",
    "ProtocolError",
    "PythonError",
    "SessionLost",
    "WorkerLost",
    "WorkerMemoryExceeded",
]


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
