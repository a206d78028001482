"""How much one user may ask for: a bucket of tokens each, filled again at an even rate. Pure but for its own counts."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from dspex_lab.clock import Clock

__all__ = ["RateLimit", "RateLimiter"]

#: Whoever has not asked for longest is forgotten first; their bucket is full by then.
_MAX_USERS = 1_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """``burst`` requests at once, and ``per_s`` a second in the long run."""

    per_s: float = 20.0
    burst: int = 60


class RateLimiter:
    """Counts the requests of each user."""

    def __init__(self, limit: RateLimit, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, user: str) -> float:
        """0.0 when ``user`` may ask now, which is counted; else the seconds until they may."""
        limit, now = self._limit, self._clock.monotonic()
        tokens, before = self._buckets.get(user, (float(limit.burst), now))
        tokens = min(float(limit.burst), tokens + (now - before) * limit.per_s)
        is_allowed = tokens >= 1.0
        self._buckets[user] = (tokens - 1.0 if is_allowed else tokens, now)
        self._buckets.move_to_end(user)
        if len(self._buckets) > _MAX_USERS:
            self._buckets.popitem(last=False)
        return 0.0 if is_allowed else (1.0 - tokens) / limit.per_s

    def __repr__(self) -> str:
        return f"<RateLimiter [users: {len(self._buckets)}, {self._limit.per_s:g}/s]>"
