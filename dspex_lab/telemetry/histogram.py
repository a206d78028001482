"""A histogram of durations in log-spaced buckets: O(1) to record, bounded memory, mergeable.

A quantile is off by at most 4.5 % of its value (half a bucket). Not safe across threads by itself: the
collector locks. This module knows nothing of what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Histogram", "HistogramSnapshot"]

_BUCKETS_PER_OCTAVE = 8
#: The smallest duration that is told apart from zero, in seconds.
_SMALLEST_S = 1e-6
#: Up to 2**38 microseconds, about three days; what is longer goes to the last bucket.
_BUCKETS = 38 * _BUCKETS_PER_OCTAVE + 2


@dataclass(frozen=True, slots=True)
class HistogramSnapshot:
    """What a histogram held at one moment; all durations in seconds, 0.0 throughout when nothing was recorded.

    ``buckets`` are the filled ones only, as ``(index, count)``: enough to merge it into another histogram.
    """

    count: int = 0
    total_s: float = 0.0
    min_s: float = 0.0
    max_s: float = 0.0
    p50_s: float = 0.0
    p90_s: float = 0.0
    p99_s: float = 0.0
    buckets: tuple[tuple[int, int], ...] = ()

    @property
    def mean_s(self) -> float:
        return self.total_s / self.count if self.count else 0.0


class Histogram:
    """Counts durations by their magnitude."""

    __slots__ = ("_buckets", "_count", "_max_s", "_min_s", "_total_s")

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._buckets = [0] * _BUCKETS
        self._count = 0
        self._total_s = 0.0
        self._min_s = math.inf
        self._max_s = 0.0
        for value in values:
            self.record(value)

    def record(self, duration_s: float) -> None:
        """Count one duration. Below zero (a clock that was set back) counts as zero; NaN and infinity are errors."""
        if not 0.0 <= duration_s < math.inf:
            duration_s = _checked(duration_s)
        self._buckets[_bucket_of(duration_s)] += 1
        self._count += 1
        self._total_s += duration_s
        if duration_s < self._min_s:
            self._min_s = duration_s
        if duration_s > self._max_s:
            self._max_s = duration_s

    def merge(self, other: Histogram | HistogramSnapshot) -> None:
        """Add everything that ``other`` counted; the order of merges does not matter."""
        snapshot = other.snapshot() if isinstance(other, Histogram) else other
        if not snapshot.count:
            return
        for index, count in snapshot.buckets:
            self._buckets[index] += count
        self._count += snapshot.count
        self._total_s += snapshot.total_s
        self._min_s = min(self._min_s, snapshot.min_s)
        self._max_s = max(self._max_s, snapshot.max_s)

    def quantile(self, fraction: float) -> float:
        """The duration (seconds) below which ``fraction`` of the recorded ones lie; 0.0 when there are none."""
        if not 0.0 <= fraction <= 1.0:
            raise ValueError(f"A quantile lies between 0 and 1, not at {fraction}")
        if not self._count:
            return 0.0
        rank = max(1, math.ceil(fraction * self._count))
        seen = 0
        for index, count in enumerate(self._buckets):
            seen += count
            if seen >= rank:
                return min(max(_middle_of(index), self._min_s), self._max_s)
        return self._max_s

    def snapshot(self) -> HistogramSnapshot:
        if not self._count:
            return HistogramSnapshot()
        return HistogramSnapshot(
            self._count,
            self._total_s,
            self._min_s,
            self._max_s,
            self.quantile(0.5),
            self.quantile(0.9),
            self.quantile(0.99),
            tuple((index, count) for index, count in enumerate(self._buckets) if count),
        )

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        p50, p99 = self.quantile(0.5), self.quantile(0.99)
        return f"<Histogram [count: {self._count}, p50: {p50:.3g} s, p99: {p99:.3g} s]>"


def _checked(duration_s: float) -> float:
    """What is counted for a duration that is none."""
    if not math.isfinite(duration_s):
        raise ValueError(f"A duration is a finite number of seconds, not {duration_s}")
    return max(duration_s, 0.0)


def _bucket_of(duration_s: float) -> int:
    """0 for what is below the smallest, else 1 plus the bucket's place on the logarithmic scale."""
    if duration_s < _SMALLEST_S:
        return 0
    bucket = 1 + int(math.log2(duration_s / _SMALLEST_S) * _BUCKETS_PER_OCTAVE)
    return bucket if bucket < _BUCKETS else _BUCKETS - 1


def _middle_of(index: int) -> float:
    """The geometric middle of a bucket, in seconds."""
    return 0.0 if index == 0 else _SMALLEST_S * 2.0 ** ((index - 0.5) / _BUCKETS_PER_OCTAVE)
