"""What a router counts: calls by route and target and how they ended, retries, fallbacks, hits and usage.

Written on the router's event loop, but for straight calls, and read from any thread. Knows nothing of what a call is.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from dspex_lab.calls import Usage
from dspex_lab.router.strategies import Decision, RouterStatistics, WayStatistics

__all__ = ["RouterCounts"]


@dataclass(slots=True)
class _Way:
    calls: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0


class RouterCounts:
    """The books of one router."""

    def __init__(self) -> None:
        self._ways: dict[tuple[str, str], _Way] = {}
        # Straight calls are counted on whatever thread made them.
        self._straight: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._retried: Counter[str] = Counter()
        self._used = Usage()
        self._in_flight = 0
        self._fallbacks = 0
        self._cache_hits = 0

    def begin(self, decision: Decision) -> None:
        """A call takes its way."""
        key = (decision.route.value, decision.target)
        way = self._ways.get(key)
        if way is None:
            way = self._ways[key] = _Way()
        way.calls += 1
        self._in_flight += 1

    def end(self, decision: Decision, ending: Literal["succeeded", "failed", "cancelled"]) -> None:
        """A call that was begun is over."""
        way = self._ways[decision.route.value, decision.target]
        if ending == "succeeded":
            way.succeeded += 1
        elif ending == "failed":
            way.failed += 1
        else:
            way.cancelled += 1
        self._in_flight -= 1

    def add_straight(self, decision: Decision, count: int) -> None:
        """So many straight calls have worked."""
        with self._lock:
            self._straight[decision.route.value, decision.target] += count

    def spend(self, retried: Mapping[str, int], used: Usage) -> None:
        """What a call cost: retries by the error before them, and what models used."""
        if retried:
            self._retried.update(retried)
        if used.lm_calls:
            self._used = self._used + used

    def fall_back(self) -> None:
        self._fallbacks += 1

    def hit_cache(self) -> None:
        self._cache_hits += 1

    def statistics(self) -> RouterStatistics:
        by_route: Counter[str] = Counter()
        by_target: Counter[str] = Counter()
        ways = self._ways_now()
        for way in ways:
            by_route[way.route] += way.calls
            by_target[way.target] += way.calls
        return RouterStatistics(
            calls=sum(way.calls for way in ways),
            succeeded=sum(way.succeeded for way in ways),
            failed=sum(way.failed for way in ways),
            cancelled=sum(way.cancelled for way in ways),
            retries=self._retried.total(),
            fallbacks=self._fallbacks,
            cache_hits=self._cache_hits,
            in_flight=self._in_flight,
            by_route=MappingProxyType(dict(by_route)),
            by_target=MappingProxyType(dict(by_target)),
            by_retry=MappingProxyType(dict(self._retried)),
            used=self._used,
            ways=ways,
        )

    def _ways_now(self) -> tuple[WayStatistics, ...]:
        with self._lock:
            straight = dict(self._straight)
        found = []
        for key, way in tuple(self._ways.items()):
            more = straight.pop(key, 0)
            found.append(WayStatistics(*key, way.calls + more, way.succeeded + more, way.failed, way.cancelled))
        found += [WayStatistics(*key, count, count, 0, 0) for key, count in straight.items()]
        return tuple(found)

    def __repr__(self) -> str:
        ways = self._ways_now()
        calls, failed = sum(way.calls for way in ways), sum(way.failed for way in ways)
        return f"calls: {calls}, in flight: {self._in_flight}, failed: {failed}"
