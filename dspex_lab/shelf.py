"""A shelf with room for a few: what is put on it stays open until too many others have come after it.

Knows nothing of what it holds but that it can be closed.
"""

from __future__ import annotations

import logging
import threading
from typing import Protocol

__all__ = ["Closable", "Shelf"]

log = logging.getLogger(__name__)


class Closable(Protocol):
    """What lets go of what it holds; safe to call twice."""

    def close(self) -> None: ...


class Shelf:
    """Holds the last ``room`` things and closes those that have to go. Safe from any thread."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._things: dict[int, Closable] = {}

    def put(self, thing: Closable) -> None:
        """Keep ``thing`` as the newest; the oldest is closed when there is no room for it."""
        with self._lock:
            self._things.pop(id(thing), None)
            self._things[id(thing)] = thing
            oldest = [self._things.pop(next(iter(self._things)))] if len(self._things) > self._room else []
        for one in oldest:
            _close(one)

    def take(self, thing: Closable) -> None:
        """Let ``thing`` go without closing it; one that is not there is no matter."""
        with self._lock:
            self._things.pop(id(thing), None)

    def clear(self) -> None:
        """Close everything."""
        with self._lock:
            things = list(self._things.values())
            self._things.clear()
        for one in things:
            _close(one)

    def __len__(self) -> int:
        return len(self._things)

    def __repr__(self) -> str:
        return f"<Shelf [{len(self._things)} of {self._room}]>"


def _close(thing: Closable) -> None:
    try:
        thing.close()
    except Exception:  # a page that has gone is no reason to show nothing else, nor to leave the others open
        log.warning("%r could not be closed.", thing, exc_info=True)
