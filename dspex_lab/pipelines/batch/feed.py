"""Rows from a thread to an event loop: the user's iterator may block, and is never asked for more than fits.

Knows nothing of what a row is.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["Feed"]

T = TypeVar("T")

_ROOM = 256


class Feed(Generic[T]):
    """Reads ``items`` on a thread of its own, at most ``room`` ahead of who takes them. Close it: the thread ends with
    the item that it is at, and closes a generator."""

    def __init__(self, items: Iterator[T], *, room: int = _ROOM) -> None:
        self._items = items
        self._room = room
        self._loop = asyncio.get_running_loop()
        self._buffer: deque[T] = deque()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._has_ended = self._is_closed = False
        self._waiter: asyncio.Future[None] | None = None
        self._thread = threading.Thread(target=self._work, name="dspex-rows", daemon=True)
        self._thread.start()

    async def take(self) -> T:
        """The next item. Raises ``StopAsyncIteration`` at the end, and what reading raised."""
        while True:
            with self._changed:
                if self._buffer and not self._is_closed:
                    item = self._buffer.popleft()
                    if len(self._buffer) == self._room // 2:
                        self._changed.notify()
                    return item
                if self._error is not None and not self._is_closed:
                    raise self._error
                if self._has_ended or self._is_closed:
                    raise StopAsyncIteration
                self._waiter = self._loop.create_future()
            await self._waiter

    def close(self) -> None:
        """Read no more, and give out no more. Safe to call twice, from the event loop."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
            self._wake()

    # --- on the thread --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    break
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
        except BaseException as error:  # whatever the user's iterator raises is the taker's to tell
            self._error = error
        with self._changed:
            self._has_ended = True
            self._wake()

    def _put(self, item: T) -> bool:
        with self._changed:
            if len(self._buffer) >= self._room:
                self._changed.wait_for(lambda: self._is_closed or len(self._buffer) <= self._room // 2)
            if self._is_closed:
                return False
            self._buffer.append(item)
            self._wake()
            return True

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_set, waiter)

    def __repr__(self) -> str:
        state = "ended" if self._has_ended else "closed" if self._is_closed else "open"
        return f"<Feed [{state}, waiting: {len(self._buffer)}]>"


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
