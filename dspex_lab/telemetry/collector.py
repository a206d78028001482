"""Counts: how many calls, errors, hits and tokens, and how long they took, by operation, pool and route.

Fed by :meth:`Collector.record`, or by an event hub through :meth:`Collector.observe`. Memory is bounded whatever is
recorded. Knows nothing of who asks: the router's strategies, panels and ``lab.statistics()`` all read the snapshot.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from dspex_lab.calls import Usage
from dspex_lab.clock import Clock, SystemClock
from dspex_lab.telemetry import attributes as names
from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.histogram import Histogram, HistogramSnapshot
from dspex_lab.telemetry.spans import Span

__all__ = ["Collector", "CollectorStatistics", "SeriesStatistics"]

#: What further series are counted under once ``max_series`` are there.
_OVERFLOW = ("(other)", "", "")

#: The events that are calls, and the route that they speak of.
_ROUTES: Mapping[str, str] = MappingProxyType({"native.execute": "native", "python.execute": "python"})

#: So many observed events wait at most until they are counted.
_MAX_WAITING = 512


@dataclass(frozen=True, slots=True)
class SeriesStatistics:
    """What was counted for one operation, pool and route; ``latency`` in seconds."""

    operation: str
    pool: str
    route: str
    calls: int
    errors: int
    cache_hits: int
    usage: Usage
    latency: HistogramSnapshot

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain data."""
        return {
            "op": self.operation,
            "pool": self.pool,
            "route": self.route,
            "calls": self.calls,
            "errors": self.errors,
            "cache_hits": self.cache_hits,
            "input_tokens": self.usage.input_tokens,
            "output_tokens": self.usage.output_tokens,
            "cost": self.usage.cost,
            "total_s": self.latency.total_s,
            "p50_s": self.latency.p50_s,
            "p90_s": self.latency.p90_s,
            "p99_s": self.latency.p99_s,
        }

    @property
    def error_rate(self) -> float:
        """Errors per call, from 0.0 to 1.0."""
        return self.errors / self.calls if self.calls else 0.0


@dataclass(frozen=True, slots=True)
class CollectorStatistics:
    """Everything that was counted since ``since`` (epoch seconds); ``events`` counts observed events by name."""

    since: float
    total: SeriesStatistics
    series: tuple[SeriesStatistics, ...]
    events: Mapping[str, int] = field(default_factory=dict)

    def of(self, operation: str) -> tuple[SeriesStatistics, ...]:
        """The series of one operation."""
        return tuple(one for one in self.series if one.operation == operation)


@dataclass(slots=True)
class _Series:
    calls: int = 0
    errors: int = 0
    cache_hits: int = 0
    usage: Usage = field(default_factory=Usage)
    latency: Histogram = field(default_factory=Histogram)

    def add(self, other: _Series) -> None:
        self.calls += other.calls
        self.errors += other.errors
        self.cache_hits += other.cache_hits
        self.usage = self.usage + other.usage
        self.latency.merge(other.latency)

    def freeze(self, operation: str, pool: str, route: str) -> SeriesStatistics:
        return SeriesStatistics(
            operation, pool, route, self.calls, self.errors, self.cache_hits, self.usage, self.latency.snapshot()
        )


class Collector:
    """Counts calls. Safe from any thread."""

    def __init__(self, clock: Clock | None = None, *, max_series: int = 1_000) -> None:
        self.since = (clock or SystemClock()).now()
        self._max_series = max_series
        self._lock = threading.Lock()
        self._series: dict[tuple[str, str, str], _Series] = {}
        self._events: Counter[str] = Counter()
        # What was observed costs its thread one append; it is counted when there is a number of it, or somebody looks.
        self._waiting: deque[Event] = deque()

    def record(
        self,
        operation: str,
        duration_s: float,
        *,
        pool: str = "",
        route: str = "",
        is_error: bool = False,
        is_cache_hit: bool = False,
        usage: Usage | None = None,
    ) -> None:
        """Count one call that is over."""
        with self._lock:
            series = self._series_of(operation, pool, route)
            series.calls += 1
            series.errors += is_error
            series.cache_hits += is_cache_hit
            if usage is not None:
                series.usage = series.usage + usage
            series.latency.record(duration_s)

    def observe(self, event: Event) -> None:
        """Count an event by its name: an observer for :meth:`EventHub.on`. A ``native.execute`` or
        ``python.execute`` is a call, too."""
        self._waiting.append(event)
        if len(self._waiting) >= _MAX_WAITING:
            with self._lock:
                self._count_waiting()

    def _count_waiting(self) -> None:
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._events.update([event.name for event in waiting])
        for event in waiting:
            if event.name in _ROUTES:
                self._add_call(event)

    def _add_call(self, event: Event) -> None:
        get = event.attributes.get
        duration_s = get("duration_s") or get("run_s") or 0.0
        if not math.isfinite(duration_s):
            return  # too late to refuse it: counted by its name only
        series = self._series_of(get("operation", ""), get("pool") or "", get("route") or _ROUTES[event.name])
        series.calls += 1
        series.latency.record(duration_s)
        if get("error"):
            series.errors += 1
        if isinstance(usage := get("usage"), Usage):
            series.usage = series.usage + usage

    def statistics(self) -> CollectorStatistics:
        with self._lock:
            self._count_waiting()
            total = _Series()
            for series in self._series.values():
                total.add(series)
            frozen = tuple(series.freeze(*key) for key, series in sorted(self._series.items()))
            return CollectorStatistics(
                self.since, total.freeze("", "", ""), frozen, MappingProxyType(dict(self._events))
            )

    def record_span(self, span: Span) -> None:
        """Count a step of a run, by its operation and the way that it went; other spans are none."""
        get = span.attributes.get
        if get(names.KIND) not in ("step", "native") or get(names.STEP) is None:
            return
        usage = None
        if (read := get(names.INPUT_TOKENS)) is not None:
            usage = Usage(int(read), int(get(names.OUTPUT_TOKENS) or 0), get(names.COST_USD), 1)
        self.record(
            str(get(names.OPERATION) or get(names.STEP_KIND) or get(names.STEP)),
            span.duration_s,
            pool=str(get(names.POOL) or ""),
            route=str(get(names.ROUTE) or ""),
            is_error=span.status == "error",
            is_cache_hit=bool(get(names.CACHE_HIT)),
            usage=usage,
        )

    def reset(self) -> None:
        """Forget everything counted so far."""
        with self._lock:
            self._count_waiting()
            self._series.clear()
            self._events.clear()

    def _series_of(self, operation: str, pool: str, route: str) -> _Series:
        key = (operation, pool, route)
        known = self._series.get(key)
        if known is not None:
            return known
        if len(self._series) >= self._max_series:
            key = _OVERFLOW
        return self._series.setdefault(key, _Series())

    def __repr__(self) -> str:
        with self._lock:
            self._count_waiting()
            calls = sum(one.calls for one in self._series.values())
            errors = sum(one.errors for one in self._series.values())
            return f"<Collector [series: {len(self._series)}, calls: {calls}, errors: {errors}]>"
