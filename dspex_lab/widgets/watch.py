"""When a live panel reads anew, and when it stops: a pure value. Times are seconds on a clock that never goes back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

__all__ = ["Watch"]

_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Watch:
    """One panel's watch: it reads every ``interval_s`` while a view was heard of within ``lapse_s``.

    ``lapse_s`` None: a view that falls silent is not counted out, for the kernel may be busy and hear nothing.
    """

    interval_s: float = 1.0
    lapse_s: float | None = 20.0
    seen_at: float = _NEVER
    read_at: float = _NEVER

    def seen(self, now: float) -> Self:
        """A view is open, or said so again."""
        return replace(self, seen_at=now)

    def unseen(self) -> Self:
        """The last view was closed; the next one finds what is read at once."""
        return replace(self, seen_at=_NEVER, read_at=_NEVER)

    def read(self, now: float) -> Self:
        """The panel was read."""
        return replace(self, read_at=now)

    def hurried(self) -> Self:
        """Something was ordered: what came of it is read at once."""
        return replace(self, read_at=_NEVER)

    def is_over(self, now: float) -> bool:
        """Whether nobody looks any more."""
        return self.seen_at == _NEVER or (self.lapse_s is not None and now - self.seen_at > self.lapse_s)

    def due_in(self, now: float) -> float:
        """Seconds until the next reading, 0 when it is due."""
        return max(0.0, self.read_at + self.interval_s - now)
