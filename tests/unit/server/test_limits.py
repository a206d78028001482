"""The limit on questions, on a clock that the test moves."""

from __future__ import annotations

import pytest

from dspex_lab.server.limits import RateLimit, RateLimiter
from dspex_lab.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def limiter(clock: FakeClock) -> RateLimiter:
    return RateLimiter(RateLimit(per_s=2.0, burst=3), clock)


def test_a_burst_is_allowed_and_no_more(limiter: RateLimiter) -> None:
    """The fourth at once waits for half a second, at two a second."""
    assert [limiter.wait_s("ada") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_waiting_as_long_as_told_is_enough(limiter: RateLimiter, clock: FakeClock) -> None:
    """Asking in vain costs nothing; after the wait there is one question, and not two."""
    for _ in range(20):
        wait_s = limiter.wait_s("ada")
    clock.advance(wait_s)
    assert limiter.wait_s("ada") == 0.0
    assert limiter.wait_s("ada") == 0.5


def test_users_do_not_pay_for_each_other(limiter: RateLimiter) -> None:
    """One who asks too often holds up nobody else."""
    for _ in range(10):
        limiter.wait_s("ada")
    assert limiter.wait_s("grace") == 0.0


def test_rest_gives_a_burst_back_and_no_more(limiter: RateLimiter, clock: FakeClock) -> None:
    """A day's silence saves up no more than the burst."""
    limiter.wait_s("ada")
    clock.advance(86_400)
    assert [limiter.wait_s("ada") > 0 for _ in range(4)] == [False, False, False, True]


def test_strangers_do_not_fill_the_memory(limiter: RateLimiter) -> None:
    """Only so many users are remembered."""
    for number in range(5_000):
        limiter.wait_s(str(number))
    assert repr(limiter) == "<RateLimiter [users: 1000, 2/s]>"
