"""The cache in this process's memory: any value that can be copied, gone with the process."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from dspex_lab.cache.base import BaseCache, Cached
from dspex_lab.clock import Clock

__all__ = ["MemoryCache"]


@dataclass(frozen=True, slots=True)
class _Entry:
    value: Any
    stored_at: float
    expires_at: float | None


class MemoryCache(BaseCache):
    """Up to ``max_entries`` values, each for ``ttl_s`` seconds (None: for good). Values are copied in and out, so
    nobody can change what others get."""

    def __init__(self, clock: Clock | None = None, *, max_entries: int = 10_000, ttl_s: float | None = None) -> None:
        super().__init__(clock, max_entries=max_entries, ttl_s=ttl_s)
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def get(self, key: str) -> Cached | None:
        now = self._clock.monotonic()
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry.expires_at is not None and entry.expires_at <= now:
                del self._entries[key]
                self._counters.expired += 1
                entry = None
            if entry is None:
                self._counters.misses += 1
                return None
            self._entries.move_to_end(key)
            self._counters.hits += 1
        return Cached(copy.deepcopy(entry.value), now - entry.stored_at)

    def put(self, key: str, value: Any, *, ttl_s: float | None = None) -> bool:
        now = self._clock.monotonic()
        try:
            kept = copy.deepcopy(value)
        except Exception:  # whatever a user's class raises: what cannot be copied is not kept
            self._counters.rejected += 1
            return False
        with self._lock:
            self._entries[key] = _Entry(kept, now, self._expiry(ttl_s, now))
            self._entries.move_to_end(key)
            self._counters.stored += 1
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)
                self._counters.evicted += 1
        return True

    def delete(self, key: str) -> bool:
        with self._lock:
            return self._entries.pop(key, None) is not None

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def close(self) -> None:
        self.clear()

    def _sizes(self) -> tuple[int, int | None]:
        return len(self._entries), None
