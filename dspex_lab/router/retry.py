"""Trying again: exponential backoff with full jitter, for what is transient only.

Pure: :func:`should_retry` and :func:`wait_before_retry_s` decide, the router waits. Knows nothing of calls.
"""

from __future__ import annotations

from dataclasses import dataclass

from dspex_lab.errors import (
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    HostUnavailable,
    LabError,
    ModelError,
    WorkerLost,
)

__all__ = ["RetryPolicy", "asked_wait_s", "delay_s", "should_retry", "wait_before_retry_s"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and after how long: before try ``n`` (from 1) at most ``base_s * factor ** (n - 1)`` seconds, and
    never more than ``max_s``; the actual wait is anything from zero to that (full jitter).

    A provider that asks for a wait gets it, with the jitter on top; one that asks for more than ``max_asked_s`` is not
    tried again.
    """

    retries: int = 2
    base_s: float = 0.5
    factor: float = 2.0
    max_s: float = 30.0
    max_asked_s: float = 120.0

    def __post_init__(self) -> None:
        if self.factor < 1 or min(self.retries, self.base_s, self.max_s, self.max_asked_s) < 0:
            raise ConfigurationError(
                f"A retry policy takes no negative figures, and a factor of at least 1: {self!r}.", "retry"
            )


def should_retry(policy: RetryPolicy, error: LabError, *, retries_done: int, is_idempotent: bool) -> bool:
    """Whether the same thing may be tried again after ``error``.

    A host that could not be had has been waited for already, and an open circuit is a refusal. What may have taken
    effect (a lost worker, a deadline) is repeated only where repeating does no harm.
    """
    if retries_done >= policy.retries or not error.retryable:
        return False
    if isinstance(error, HostUnavailable | CircuitOpen) or asked_wait_s(error) > policy.max_asked_s:
        return False
    return is_idempotent or not isinstance(error, WorkerLost | DeadlineExceeded)


def delay_s(policy: RetryPolicy, *, retries_done: int, draw: float) -> float:
    """The backoff in seconds before the next try; ``draw`` is a random number from 0 to 1."""
    # A power that overflows is past any maximum; the exponent is bounded so that it cannot.
    ceiling = min(policy.max_s, policy.base_s * policy.factor ** min(retries_done, 60))
    return draw * ceiling


def asked_wait_s(error: LabError) -> float:
    """How long the provider asks to wait, in seconds; 0.0 when it does not."""
    return (error.retry_after_s or 0.0) if isinstance(error, ModelError) else 0.0


def wait_before_retry_s(policy: RetryPolicy, error: LabError, *, retries_done: int, draw: float) -> float:
    """Seconds until the next try: at least what was asked for. The jitter comes on top, so that those who were all
    told the same time do not all come at it."""
    return asked_wait_s(error) + delay_s(policy, retries_done=retries_done, draw=draw)
