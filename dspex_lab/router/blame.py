"""Whose fault a failure is: what a circuit breaker counts, and against which target.

Pure. Only what the target itself failed at is counted: never the user's mistakes, a cancel, or an answer that breaks
its signature.
"""

from __future__ import annotations

from enum import Enum

from dspex_lab.calls import LmSpec
from dspex_lab.errors import DeadlineExceeded, ModelError, PythonError, ValidationError, WorkerLost
from dspex_lab.router.operation import Operation

__all__ = ["Verdict", "judge", "target_of"]

_TOO_MANY_REQUESTS = 429


class Verdict(Enum):
    """What the end of a call says of its target."""

    ANSWERED = "answered"
    FAILED = "failed"
    NEITHER = "neither"


def target_of(operation: Operation, lm: LmSpec, pool: str) -> str:
    """What a call depends on: the model and where it is reached, or the pool when no model of ours is asked."""
    if not _asks_a_model(operation):
        return f"pool {pool}"
    return f"{lm.model} at {lm.api_base}" if lm.api_base else lm.model


def judge(operation: Operation, error: BaseException) -> Verdict:
    """What ``error`` says of the operation's target.

    A target that says "not so fast" is well: it is retried after the wait that it asks for. How long a function of the
    user's takes is no fault of its pool.
    """
    asks_a_model = _asks_a_model(operation)
    if isinstance(error, ModelError):
        has_failed = error.retryable and error.status != _TOO_MANY_REQUESTS
    elif isinstance(error, DeadlineExceeded):
        has_failed = asks_a_model
    else:
        has_failed = isinstance(error, WorkerLost)
    if has_failed:
        return Verdict.FAILED
    has_answered = isinstance(error, ValidationError) or (isinstance(error, PythonError) and not asks_a_model)
    return Verdict.ANSWERED if has_answered else Verdict.NEITHER


def _asks_a_model(operation: Operation) -> bool:
    """Whether the model is the one that the step names; a module has its own."""
    return operation.signature is not None and operation.module is None
