"""A tape: what happened so far and what comes, for any number of readers on any thread or event loop.

Append-only; every reader begins at the start. Knows nothing of what is on it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Generic, TypeVar

__all__ = ["Tape"]

T = TypeVar("T")


class Tape(Generic[T]):
    """Items in the order in which they were added, until :meth:`close`. Iterate it (``for``, ``async for``) to get
    what is there and then what comes; a reader ends when the tape is closed."""

    def __init__(self) -> None:
        self._items: list[T] = []
        self._is_closed = False
        self._changed = threading.Condition(threading.Lock())
        self._waiting = 0
        self._wakers: set[Callable[[], None]] = set()

    def append(self, item: T) -> None:
        """Add ``item``; nothing is added to a closed tape."""
        if self._is_closed:
            return
        # With no lock: a reader says that it waits before it looks for the last time, so either it finds the item or
        # is found waiting.
        self._items.append(item)
        if self._waiting or self._wakers:
            with self._changed:
                self._wake()

    def close(self) -> None:
        """End every reader once it has read all. Safe to call twice."""
        with self._changed:
            self._is_closed = True
            self._wake()

    def snapshot(self) -> tuple[T, ...]:
        """What is there now."""
        with self._changed:
            return tuple(self._items)

    def _wake(self) -> None:
        self._changed.notify_all()
        for waker in self._wakers:
            waker()
        self._wakers.clear()

    def __iter__(self) -> Iterator[T]:
        position = 0
        while True:
            with self._changed:
                self._waiting += 1
                try:
                    while position >= len(self._items) and not self._is_closed:
                        self._changed.wait()
                finally:
                    self._waiting -= 1
                items = self._items[position:]
            if not items:
                return
            position += len(items)
            yield from items

    async def __aiter__(self) -> AsyncIterator[T]:
        position = 0
        while True:
            items, woken = self._take(position)
            if woken is not None:
                await woken
                continue
            if not items:
                return
            position += len(items)
            for item in items:
                yield item

    def _take(self, position: int) -> tuple[list[T], asyncio.Future[None] | None]:
        """What lies after ``position``, or a future that is done when there is more; neither: the end."""
        with self._changed:
            loop = asyncio.get_running_loop()
            woken: asyncio.Future[None] = loop.create_future()
            waker = partial(_set, loop, woken)
            self._wakers.add(waker)
            if position < len(self._items) or self._is_closed:
                self._wakers.discard(waker)
                return self._items[position:], None
            return [], woken

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"<Tape [items: {len(self._items)}, {'closed' if self._is_closed else 'open'}]>"


def _set(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    def wake() -> None:
        if not future.done():
            future.set_result(None)

    if not loop.is_closed():
        loop.call_soon_threadsafe(wake)
