"""The calls of a pool that wait for a worker: urgent ones first, and each caller in its turn.

A notebook that sends a thousand calls does not keep another one waiting for all of them: among calls of the same
priority callers take turns, and each caller's own calls keep their order. Knows ids only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

__all__ = ["WaitingCalls"]

_Line = OrderedDict[str, None]


class WaitingCalls:
    """Ids in the order in which they are to be served. A lower ``priority`` is served first. Every step is O(1) in
    the number of calls."""

    def __init__(self) -> None:
        self._lanes: dict[int, OrderedDict[bytes, _Line]] = {}
        self._places: dict[str, tuple[int, bytes]] = {}

    def add(self, call_id: str, caller: bytes, *, priority: int = 0) -> None:
        """Put the call at the end of its caller's line."""
        lane = self._lanes.setdefault(priority, OrderedDict())
        lane.setdefault(caller, OrderedDict())[call_id] = None
        self._places[call_id] = (priority, caller)

    def put_back(self, call_id: str, caller: bytes, *, priority: int = 0) -> None:
        """Put a call that was taken before at the head of its line, and its caller's turn next."""
        self.add(call_id, caller, priority=priority)
        lane = self._lanes[priority]
        lane[caller].move_to_end(call_id, last=False)
        lane.move_to_end(caller, last=False)

    def take(self) -> str:
        """The call that is next; its caller's turn comes again after the others'. ``IndexError`` when none waits."""
        if not self._places:
            raise IndexError("no call waits")
        lane = self._lanes[min(self._lanes)]
        caller = next(iter(lane))
        call_id = next(iter(lane[caller]))
        self.remove(call_id)
        if caller in lane:
            lane.move_to_end(caller)
        return call_id

    def remove(self, call_id: str) -> None:
        """Take the call out of its line. ``KeyError`` when it is in none."""
        priority, caller = self._places.pop(call_id)
        lane = self._lanes[priority]
        del lane[caller][call_id]
        if not lane[caller]:
            del lane[caller]
        if not lane:
            del self._lanes[priority]

    def take_all(self) -> tuple[str, ...]:
        """Every call that waits; none waits after."""
        calls = tuple(self)
        self._lanes.clear()
        self._places.clear()
        return calls

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, call_id: object) -> bool:
        return call_id in self._places

    def __iter__(self) -> Iterator[str]:
        """The waiting calls, urgent ones first, caller by caller."""
        for priority in sorted(self._lanes):
            for line in self._lanes[priority].values():
                yield from line

    def __repr__(self) -> str:
        callers = len({caller for _, caller in self._places.values()})
        return f"<WaitingCalls [calls: {len(self)}, callers: {callers}]>"
