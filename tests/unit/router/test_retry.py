"""What is tried again, and after how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.errors import (
    Cancelled,
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    HostUnavailable,
    LabError,
    ModelError,
    PoolSaturated,
    PythonError,
    ValidationError,
    WorkerLost,
)
from dspex_lab.router import RetryPolicy
from dspex_lab.router.retry import delay_s, should_retry, wait_before_retry_s


@pytest.mark.parametrize(
    ("error", "is_idempotent", "expected"),
    [
        (ModelError("rate limit", retryable=True), False, True),
        (ModelError("no such model"), True, False),
        (PoolSaturated("full"), False, True),
        (WorkerLost("gone"), True, True),
        (WorkerLost("gone"), False, False),
        (DeadlineExceeded("late"), True, True),
        (DeadlineExceeded("late"), False, False),
        (HostUnavailable("none"), True, False),
        (CircuitOpen("open"), True, False),
        (PythonError("ValueError: no"), True, False),
        (ValidationError("wrong"), True, False),
        (Cancelled("stop"), True, False),
    ],
)
def test_only_what_is_transient_and_harmless_is_tried_again(
    error: LabError, is_idempotent: bool, expected: bool
) -> None:
    """The table of errors: transient ones, and those that may have taken effect only where repeating is harmless."""
    assert should_retry(RetryPolicy(), error, retries_done=0, is_idempotent=is_idempotent) is expected


@given(retries=st.integers(0, 20), done=st.integers(0, 40))
def test_the_number_of_retries_is_kept(retries: int, done: int) -> None:
    """No more tries than the policy says."""
    policy = RetryPolicy(retries=retries)
    error = PoolSaturated("full")
    assert should_retry(policy, error, retries_done=done, is_idempotent=True) is (done < retries)


@given(
    done=st.integers(0, 5000),
    draw=st.floats(0, 1),
    base_s=st.floats(0, 10),
    factor=st.floats(1, 4),
    max_s=st.floats(0, 60),
)
def test_a_delay_is_between_zero_and_its_ceiling(
    done: int, draw: float, base_s: float, factor: float, max_s: float
) -> None:
    """Full jitter: anything from zero to the ceiling, which never passes the maximum."""
    policy = RetryPolicy(base_s=base_s, factor=factor, max_s=max_s)
    delay = delay_s(policy, retries_done=done, draw=draw)
    assert 0 <= delay <= max_s
    assert delay <= delay_s(policy, retries_done=done, draw=1.0)


def test_ceilings_double() -> None:
    """The ceiling doubles with every retry until the maximum."""
    policy = RetryPolicy(base_s=0.5, max_s=3.0)
    assert [delay_s(policy, retries_done=done, draw=1.0) for done in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize(
    "values", [{"retries": -1}, {"base_s": -0.1}, {"factor": 0.5}, {"max_s": -1.0}, {"max_asked_s": -1.0}]
)
def test_a_policy_that_makes_no_sense_is_refused(values: dict[str, float]) -> None:
    """Negative figures and shrinking delays raise at once."""
    with pytest.raises(ConfigurationError, match="policy"):
        RetryPolicy(**values)  # type: ignore[arg-type]


@given(asked=st.none() | st.floats(0, 120), done=st.integers(0, 5), draw=st.floats(0, 1))
def test_a_provider_gets_the_wait_that_it_asks_for(asked: float | None, done: int, draw: float) -> None:
    """At least what was asked for, and no more than the backoff's ceiling on top of it."""
    policy = RetryPolicy()
    error = ModelError("slow down", retry_after_s=asked, retryable=True)
    wait_s = wait_before_retry_s(policy, error, retries_done=done, draw=draw)
    assert (asked or 0) <= wait_s <= (asked or 0) + policy.max_s


@pytest.mark.parametrize(("asked", "expected"), [(None, True), (5.0, True), (10.0, True), (10.1, False)])
def test_a_wait_past_the_policys_bound_is_not_waited(asked: float | None, expected: bool) -> None:
    """Whoever asks for more than max_asked_s is not tried again: something else may be."""
    error = ModelError("slow down", retry_after_s=asked, retryable=True)
    policy = RetryPolicy(max_asked_s=10.0)
    assert should_retry(policy, error, retries_done=0, is_idempotent=True) is expected
