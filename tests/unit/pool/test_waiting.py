"""The order in which waiting calls are served."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.pool.waiting import WaitingCalls

Entries = list[tuple[int, int]]
ENTRIES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=40)


def waiting(entries: Entries) -> WaitingCalls:
    line = WaitingCalls()
    for number, (priority, caller) in enumerate(entries):
        line.add(str(number), b"%d" % caller, priority=priority)
    return line


def served(line: WaitingCalls) -> list[int]:
    return [int(line.take()) for _ in range(len(line))]


def test_callers_take_turns() -> None:
    """A caller with one call waits for at most one call of another with many."""
    line = waiting([(0, 1), (0, 1), (0, 1), (0, 2)])
    assert served(line) == [0, 3, 1, 2]


def test_urgent_calls_come_first() -> None:
    """A lower priority number is served before every higher one, whoever called."""
    line = waiting([(1, 1), (1, 2), (0, 1)])
    assert served(line) == [2, 0, 1]


def test_a_call_that_is_put_back_is_next() -> None:
    """A call whose worker died does not wait in line a second time."""
    line = waiting([(0, 1), (0, 2), (0, 1)])
    taken = line.take()
    line.put_back(taken, b"1")
    assert line.take() == taken


def test_nothing_waits_in_an_empty_line() -> None:
    """Taking from an empty line and removing an unknown call are errors."""
    line = WaitingCalls()
    with pytest.raises(IndexError):
        line.take()
    with pytest.raises(KeyError):
        line.remove("unknown")


@given(ENTRIES)
def test_every_call_is_served_once_and_in_its_callers_order(entries: Entries) -> None:
    """Nothing is lost or doubled; priorities never fall behind; each caller's own order is kept."""
    order = served(waiting(entries))
    assert sorted(order) == list(range(len(entries)))
    assert [entries[number][0] for number in order] == sorted(priority for priority, _ in entries)
    for key in set(entries):
        own = [number for number in order if entries[number] == key]
        assert own == sorted(own)


@given(ENTRIES)
def test_no_caller_is_ahead_by_more_than_one_turn(entries: Entries) -> None:
    """While two callers wait in one lane, neither is served twice before the other is served once."""
    line = waiting([(0, caller) for _, caller in entries])
    left = Counter(caller for _, caller in entries)
    turns: Counter[int] = Counter()
    while len(line):
        caller = entries[int(line.take())][1]
        turns[caller] += 1
        left[caller] -= 1
        still_waiting = [turns[other] for other in left if left[other] > 0]
        assert all(turns[caller] - other <= 1 for other in still_waiting)


@given(ENTRIES, st.data())
def test_removed_calls_are_not_served(entries: Entries, data: st.DataObject) -> None:
    """A call that was removed is gone, and the others are all served."""
    line = waiting(entries)
    gone = data.draw(st.sets(st.sampled_from(range(len(entries))))) if entries else set()
    for number in gone:
        line.remove(str(number))
    assert set(served(line)) == set(range(len(entries))) - gone
