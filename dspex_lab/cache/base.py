"""What a cache is, and what all caches share: counting, and one producer for many who wait (single-flight).

Knows nothing of where entries are kept. One cache is used on one event loop; reads and writes are safe from any
thread.
"""

from __future__ import annotations

import abc
import asyncio
import copy
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import Cancelled

__all__ = ["BaseCache", "Cache", "CacheStatistics", "Cached", "Fetched", "Producer"]

log = logging.getLogger(__name__)

Producer = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Cached:
    """An entry that was found; ``age_s`` is how long ago it was stored, in seconds."""

    value: Any
    age_s: float


@dataclass(frozen=True, slots=True)
class Fetched:
    """A value and where it came from: the cache ("hit"), another caller's producer ("shared"), one's own."""

    value: Any
    origin: Literal["hit", "shared", "produced"]


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What a cache holds, and what it did since it was opened. ``size_bytes`` is None where it is not known."""

    kind: str
    entries: int
    max_entries: int
    size_bytes: int | None
    hits: int
    misses: int
    shared: int
    stored: int
    evicted: int
    expired: int
    rejected: int

    @property
    def hit_rate(self) -> float:
        """Hits per look-up, from 0.0 to 1.0."""
        looked_up = self.hits + self.misses
        return self.hits / looked_up if looked_up else 0.0


class Cache(Protocol):
    """Values by content key, for a time, up to a size; the least recently used go first."""

    def get(self, key: str) -> Cached | None:
        """The entry, or None when it is not there or too old. The value is the caller's own copy."""
        ...

    def put(self, key: str, value: Any, *, ttl_s: float | None = None) -> bool:
        """Keep ``value`` for ``ttl_s`` seconds (None: the cache's own). False when it cannot be kept: not plain data,
        or too large."""
        ...

    def delete(self, key: str) -> bool:
        """Forget one entry; whether it was there."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...

    async def single_flight(self, key: str, producer: Producer, *, ttl_s: float | None = None) -> Any:
        """The entry's value, or what ``producer()`` gives; then it is kept.

        Callers at the same time share one producer, which runs in the first one's context. Its error reaches all of
        them and is not kept. Cancelling one who waits leaves the others alone; the last one to go cancels the
        producer.
        """
        ...

    async def fetch(self, key: str, producer: Producer, *, ttl_s: float | None = None) -> Fetched:
        """As :meth:`single_flight`, and says where the value came from."""
        ...

    def statistics(self) -> CacheStatistics: ...

    def close(self) -> None:
        """Let go of everything. Safe to call twice."""
        ...


@dataclass(slots=True)
class _Flight:
    task: asyncio.Task[Any]
    waiters: int = 0


@dataclass(slots=True)
class _Counters:
    hits: int = 0
    misses: int = 0
    shared: int = 0
    stored: int = 0
    evicted: int = 0
    expired: int = 0
    rejected: int = 0


class BaseCache(abc.ABC):
    """The part of every cache that does not depend on where entries are kept."""

    def __init__(self, clock: Clock | None, *, max_entries: int, ttl_s: float | None) -> None:
        if max_entries < 1:
            raise ValueError(f"A cache holds at least one entry, not {max_entries}")
        self._clock = clock or SystemClock()
        self._max_entries = max_entries
        self._ttl_s = ttl_s
        self._counters = _Counters()
        self._flights: dict[str, _Flight] = {}

    @abc.abstractmethod
    def get(self, key: str) -> Cached | None: ...

    @abc.abstractmethod
    def put(self, key: str, value: Any, *, ttl_s: float | None = None) -> bool: ...

    @abc.abstractmethod
    def delete(self, key: str) -> bool: ...

    @abc.abstractmethod
    def clear(self) -> None: ...

    @abc.abstractmethod
    def close(self) -> None: ...

    @abc.abstractmethod
    def _sizes(self) -> tuple[int, int | None]:
        """The entries, and their bytes where these are known."""

    async def single_flight(self, key: str, producer: Producer, *, ttl_s: float | None = None) -> Any:
        return (await self.fetch(key, producer, ttl_s=ttl_s)).value

    async def fetch(self, key: str, producer: Producer, *, ttl_s: float | None = None) -> Fetched:
        flight = self._flights.get(key)
        if flight is not None:
            self._counters.shared += 1
            return Fetched(copy.deepcopy(await self._wait(key, flight)), "shared")
        found = self.get(key)
        if found is not None:
            return Fetched(found.value, "hit")
        flight = self._take_off(key, producer, ttl_s)
        return Fetched(await self._wait(key, flight), "produced")

    def statistics(self) -> CacheStatistics:
        entries, size_bytes = self._sizes()
        now = self._counters
        return CacheStatistics(
            type(self).__name__,
            entries,
            self._max_entries,
            size_bytes,
            now.hits,
            now.misses,
            now.shared,
            now.stored,
            now.evicted,
            now.expired,
            now.rejected,
        )

    def _take_off(self, key: str, producer: Producer, ttl_s: float | None) -> _Flight:
        flight = _Flight(asyncio.create_task(self._produce(key, producer, ttl_s), name=f"cache {key[:8]}"))
        self._flights[key] = flight
        flight.task.add_done_callback(lambda _: self._land(key, flight))
        return flight

    async def _produce(self, key: str, producer: Producer, ttl_s: float | None) -> Any:
        value = await producer()
        try:
            self.put(key, value, ttl_s=ttl_s)
        except Exception:  # a full disk is no reason to lose the value
            log.warning("%s could not keep an entry.", type(self).__name__, exc_info=True)
            self._counters.rejected += 1
        return value

    async def _wait(self, key: str, flight: _Flight) -> Any:
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if flight.task.cancelled() and me is not None and not me.cancelling():
                raise Cancelled("What the cache waited for was cancelled.") from None
            raise
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                self._land(key, flight)
                flight.task.cancel()

    def _land(self, key: str, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    def _expiry(self, ttl_s: float | None, now: float) -> float | None:
        chosen = self._ttl_s if ttl_s is None else ttl_s
        return None if chosen is None else now + chosen

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        entries, size_bytes = self._sizes()
        size = "" if size_bytes is None else f", {size_bytes / 1_048_576:.1f} MB"
        now = self._counters
        return (
            f"<{type(self).__name__} [entries: {entries}/{self._max_entries}{size}, hits: {now.hits},"
            f" misses: {now.misses}, in flight: {len(self._flights)}]>"
        )
