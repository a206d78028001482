"""The latency histogram: exact counts, quantiles within half a bucket, merging, bounded memory."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.telemetry.histogram import Histogram, HistogramSnapshot

durations = st.floats(min_value=1e-6, max_value=2e5, allow_nan=False)


@given(st.lists(durations, min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_within_half_a_bucket(values: list[float], fraction: float) -> None:
    """Each quantile is within 4.5 % of the true one (nearest rank)."""
    true = sorted(values)[max(1, math.ceil(fraction * len(values))) - 1]
    assert Histogram(values).quantile(fraction) == pytest.approx(true, rel=0.045)


@given(st.lists(durations, max_size=50), st.lists(durations, max_size=50))
def test_merging_equals_recording_everything_in_one(left: list[float], right: list[float]) -> None:
    """Two merged histograms have the snapshot of one that saw it all (the total up to rounding)."""
    merged = Histogram(left)
    merged.merge(Histogram(right))
    got, wanted = merged.snapshot(), Histogram(left + right).snapshot()
    assert (got.count, got.buckets, got.p50_s, got.p99_s) == (wanted.count, wanted.buckets, wanted.p50_s, wanted.p99_s)
    assert got.total_s == pytest.approx(wanted.total_s)


@given(st.lists(durations, max_size=50))
def test_a_snapshot_merges_like_its_histogram(values: list[float]) -> None:
    """A snapshot that came over a wire is as good as the histogram itself."""
    merged = Histogram()
    merged.merge(Histogram(values).snapshot())
    assert merged.snapshot() == Histogram(values).snapshot()


def test_an_empty_histogram_is_all_zero() -> None:
    """Nothing recorded: every figure is 0, and no division fails."""
    snapshot = Histogram().snapshot()
    assert (snapshot, snapshot.mean_s) == (HistogramSnapshot(), 0.0)


def test_out_of_range_durations_are_still_counted() -> None:
    """Zero, a negative duration and a year all count; min and max stay exact."""
    snapshot = Histogram([0.0, -5.0, 3.2e7]).snapshot()
    assert (snapshot.count, snapshot.min_s, snapshot.max_s, snapshot.p50_s) == (3, 0.0, 3.2e7, 0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(value: float) -> None:
    """NaN and infinities would poison the total; they are errors."""
    with pytest.raises(ValueError, match="finite"):
        Histogram().record(value)


def test_memory_is_bounded() -> None:
    """However many values are recorded, the buckets stay the same in number."""
    histogram = Histogram()
    before = len(histogram._buckets)
    for step in range(10_000):
        histogram.record(step * 1.7)
    assert (len(histogram._buckets), len(histogram)) == (before, 10_000)


def test_the_repr_is_a_status_line() -> None:
    """The repr tells count, median and p99."""
    assert repr(Histogram([0.5] * 3)) == "<Histogram [count: 3, p50: 0.5 s, p99: 0.5 s]>"
