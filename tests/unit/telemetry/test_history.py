"""The history: rows of five seconds, in order, for an hour, by name and in all."""

from __future__ import annotations

import pytest

from dspex_lab.telemetry.history import BUCKET_S, History

HOUR_S = 3600.0


def test_what_ended_in_the_same_five_seconds_is_one_row() -> None:
    """Calls, errors and tokens add up; quantiles are of these seconds alone."""
    history = History()
    history.record("general", 1001.0, 0.1, input_tokens=3, output_tokens=1)
    history.record("general", 1004.9, 0.3, is_error=True, input_tokens=4)
    history.record("general", 1005.0, 2.0)
    first, second = history.snapshot(1006.0)["general"]
    assert first[:5] == (1000.0, 2, 1, 7, 1)
    assert second[:5] == (1005.0, 1, 0, 0, 0)
    assert first[5] == pytest.approx(0.1, rel=0.05)
    assert second[7] == pytest.approx(2.0, rel=0.05)


def test_names_do_not_mix() -> None:
    """Each has a line of its own."""
    history = History()
    history.record("", 1.0, 0.1)
    history.record("general", 1.0, 0.1)
    history.record("", 1.0, 0.1)
    assert {name: rows[0][1] for name, rows in history.snapshot(1.0).items()} == {"": 2, "general": 1}


def test_an_hour_is_kept() -> None:
    """Older rows go, however many there were, and also when nothing came since."""
    history = History()
    for number in range(1_000):
        history.record("", number * BUCKET_S, 0.1)
    rows = history.snapshot(1_000 * BUCKET_S)[""]
    assert rows[0][0] == 1_000 * BUCKET_S - HOUR_S
    assert len(rows) == 720
    assert history.snapshot(2_000 * BUCKET_S)[""] == []


def test_a_clock_that_was_set_back_breaks_no_order() -> None:
    """What ends before the latest row counts in it."""
    history = History()
    history.record("", 100.0, 0.1)
    history.record("", 50.0, 0.1)
    assert [row[:2] for row in history.snapshot(100.0)[""]] == [(100.0, 2)]
