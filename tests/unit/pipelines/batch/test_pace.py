"""The pure controller of how many rows are under way: situations, and what holds in all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.errors import CircuitOpen, DeadlineExceeded, ModelError, PoolSaturated, ValidationError
from dspex_lab.pipelines.batch.pace import (
    Overload,
    Pace,
    RowEnd,
    first_pace,
    fixed_pace,
    may_come_again,
    overload_of,
    paced,
)

STEADY = Pace(10.0, is_growing=False)


@pytest.mark.parametrize(
    ("pace", "seen", "limit"),
    [
        pytest.param(Pace(10.0), RowEnd(), 11.0, id="each end adds a place: a round doubles the limit"),
        pytest.param(STEADY, RowEnd(), 10.1, id="after a refusal a round adds one"),
        pytest.param(Pace(10.0), RowEnd(was_full=False), 10.0, id="a limit that is not reached does not grow"),
        pytest.param(Pace(10.0), RowEnd(has_queued=True), 10.0, id="nor does one that only fills a queue"),
        pytest.param(Pace(10.0, most=10.0), RowEnd(), 10.0, id="nor one that is at its end"),
        pytest.param(Pace(10.0), Overload(5.0, 4.0), 5.0, id="a refusal halves it"),
        pytest.param(Pace(1.0), Overload(5.0, 4.0), 1.0, id="but not below one"),
        pytest.param(replace(STEADY, cut_at=4.5), Overload(5.0, 4.0), 10.0, id="one burst of refusals counts once"),
        pytest.param(replace(STEADY, cut_at=4.5), Overload(5.0, 4.6), 5.0, id="what began later counts again"),
        pytest.param(fixed_pace(10), Overload(5.0, 4.0), 10.0, id="the user's number stays"),
        pytest.param(fixed_pace(10), RowEnd(), 10.0, id="whatever happens"),
    ],
)
def test_decisions(pace: Pace, seen: RowEnd | Overload, limit: float) -> None:
    """Each situation has its one decision."""
    assert paced(pace, seen).limit == pytest.approx(limit)


def test_what_was_asked_to_wait_for_is_waited_for() -> None:
    """Nothing begins before a provider's retry-after is over, with a number of the user's too."""
    held = paced(fixed_pace(4), Overload(100.0, 99.0, wait_s=7.0))
    assert held.wait_s(100.0) == 7.0
    assert held.wait_s(108.0) == 0.0


def test_the_longest_wait_holds() -> None:
    """A shorter one that comes later does not end a longer one."""
    held = paced(paced(STEADY, Overload(1.0, 0.0, wait_s=30.0)), Overload(2.0, 0.5, wait_s=1.0))
    assert held.hold_until == 31.0


def test_it_finds_its_way_to_a_hidden_limit() -> None:
    """Against a server that takes 40 at a time, it comes near and stays near."""
    pace, now, seen = first_pace(), 0.0, []
    for _ in range(200):
        now += 1.0
        if pace.places > 40:
            pace = paced(pace, Overload(now, now - 0.5))
        else:
            for _ in range(pace.places):
                pace = paced(pace, RowEnd())
        seen.append(pace.limit)
    assert max(seen) <= 41 * 2
    assert 20 <= sum(seen[50:]) / len(seen[50:]) <= 41


@given(
    st.lists(
        st.one_of(
            st.builds(RowEnd, st.booleans(), st.booleans()),
            st.builds(Overload, st.floats(0, 100), st.floats(0, 100), st.none() | st.floats(0, 1e6)),
        )
    )
)
def test_it_keeps_within_its_bounds(seen: list[RowEnd | Overload]) -> None:
    """At least one row may be under way, never more than the most, and nobody makes it wait for hours."""
    pace = first_pace(most=64)
    for one in seen:
        pace = paced(pace, one)
        assert 1 <= pace.limit <= 64
        assert pace.hold_until <= 100 + 300


@pytest.mark.parametrize(
    ("error", "expected", "comes_again"),
    [
        (ModelError("m", "m", 429, retry_after_s=3.0), (True, 3.0), True),
        (ModelError("m", "m", 503), (True, None), True),
        (ModelError("m", "m", 401), (False, None), False),
        (PoolSaturated("full"), (True, None), True),
        (CircuitOpen("open"), (True, None), True),
        (DeadlineExceeded("late"), (True, None), False),
        (ValidationError("wrong"), (False, None), False),
    ],
)
def test_what_a_refusal_is(error: Exception, expected: tuple[bool, float | None], comes_again: bool) -> None:
    """Rate limits, full queues and open circuits come again when there is room; a time that is over does not."""
    assert overload_of(error) == expected
    assert may_come_again(error) is comes_again
