"""Where finished spans and events wait until a batch of them is sent to the host, or written by it.

Bounded: what nobody takes in time is dropped, oldest first, and counted. Safe from any thread; knows no wire.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.spans import Span

__all__ = ["Outlet", "OutletStatistics"]

_MAX_WAITING = 20_000


@dataclass(frozen=True, slots=True)
class OutletStatistics:
    """What waits, what was taken, and what was dropped because nobody took it in time."""

    waiting: int
    taken: int
    dropped: int


class Outlet:
    """An observer of a tracer (:meth:`add_span`) and of a hub (:meth:`add_event`)."""

    def __init__(self, *, max_waiting: int = _MAX_WAITING) -> None:
        self._lock = threading.Lock()
        self._spans: deque[Span] = deque(maxlen=max_waiting)
        self._events: deque[Event] = deque(maxlen=max_waiting)
        self._added = self._taken = 0

    def add_span(self, span: Span) -> None:
        with self._lock:
            self._spans.append(span)
            self._added += 1

    def add_event(self, event: Event) -> None:
        with self._lock:
            self._events.append(event)
            self._added += 1

    def take(self, limit: int = 500) -> tuple[list[Span], list[Event]]:
        """What waits, at most ``limit`` of each, oldest first."""
        with self._lock:
            spans = [self._spans.popleft() for _ in range(min(limit, len(self._spans)))]
            events = [self._events.popleft() for _ in range(min(limit, len(self._events)))]
            self._taken += len(spans) + len(events)
        return spans, events

    def is_empty(self) -> bool:
        return not self._spans and not self._events

    def statistics(self) -> OutletStatistics:
        with self._lock:
            waiting = len(self._spans) + len(self._events)
            return OutletStatistics(waiting, self._taken, self._added - self._taken - waiting)

    def __repr__(self) -> str:
        now = self.statistics()
        return f"<Outlet [waiting: {now.waiting}, dropped: {now.dropped}]>"
