"""Results that come in any order, given out in theirs. Pure; bounded by who puts them in."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["InOrder"]

T = TypeVar("T")


class InOrder(Generic[T]):
    """Holds what came too early. Positions count from 0 and come once each."""

    def __init__(self) -> None:
        self._waiting: dict[int, T] = {}
        self._next = 0

    def put(self, position: int, item: T) -> list[T]:
        """Take ``item`` in; what can be given out now, in order."""
        self._waiting[position] = item
        ready: list[T] = []
        while self._next in self._waiting:
            ready.append(self._waiting.pop(self._next))
            self._next += 1
        return ready

    def rest(self) -> list[T]:
        """What waits still, in order: those before it will not come any more."""
        positions = sorted(self._waiting)
        return [self._waiting.pop(position) for position in positions]

    def __len__(self) -> int:
        return len(self._waiting)

    def __repr__(self) -> str:
        return f"<InOrder [next: {self._next}, waiting: {len(self._waiting)}]>"
