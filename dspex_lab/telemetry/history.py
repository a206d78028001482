"""The last hour in steps of five seconds: how many calls ended, how many badly, tokens, and how long they took.

Bounded, and in order of time; knows nothing of what a call is. Not safe across threads by itself: one thread adds,
and a snapshot is taken under the same lock as that.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from dspex_lab.telemetry.histogram import Histogram

__all__ = ["BUCKET_S", "History", "HistoryRow"]

BUCKET_S: Final = 5.0
_BUCKETS = 720

#: t (epoch seconds, where its five begin), calls, errors, input tokens, output tokens, p50_s, p90_s, p99_s.
HistoryRow = tuple[float, int, int, int, int, float, float, float]


@dataclass(slots=True)
class _Bucket:
    """The five seconds that are not over."""

    began: float
    calls: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    latency: Histogram = field(default_factory=Histogram)

    def row(self) -> HistoryRow:
        took = self.latency
        quantiles = (took.quantile(0.5), took.quantile(0.9), took.quantile(0.99))
        return (self.began, self.calls, self.errors, self.input_tokens, self.output_tokens, *quantiles)


@dataclass(slots=True)
class _Line:
    rows: deque[HistoryRow] = field(default_factory=lambda: deque(maxlen=_BUCKETS))
    now: _Bucket | None = None

    def bucket(self, ended: float) -> _Bucket:
        began = ended - ended % BUCKET_S
        if self.now is None or began > self.now.began:
            if self.now is not None:
                self.rows.append(self.now.row())
            self.now = _Bucket(began)
        return self.now


class History:
    """A line for each name, ``""`` for all; five seconds in which nothing ended have no row. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}

    def record(
        self,
        name: str,
        ended: float,
        duration_s: float,
        *,
        is_error: bool = False,
        input_tokens: int = 0,
        output_tokens: int = 0,
    ) -> None:
        """Count what ended at ``ended`` (epoch seconds) in the line ``name``; what comes late counts as of now."""
        with self._lock:
            bucket = self._lines.setdefault(name, _Line()).bucket(ended)
            bucket.calls += 1
            bucket.errors += is_error
            bucket.input_tokens += input_tokens
            bucket.output_tokens += output_tokens
            bucket.latency.record(duration_s)

    def snapshot(self, now: float) -> dict[str, list[HistoryRow]]:
        """The rows of every line that are no older than an hour at ``now``, oldest first."""
        oldest = now - _BUCKETS * BUCKET_S
        with self._lock:
            return {
                name: [row for row in (*line.rows, *([line.now.row()] if line.now else ())) if row[0] >= oldest]
                for name, line in self._lines.items()
            }

    def __repr__(self) -> str:
        with self._lock:
            return f"<History [lines: {len(self._lines)}]>"
