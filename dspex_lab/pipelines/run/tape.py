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
    what is there and then what comes; a reader ends when the tape is closed.

    Adding takes no lock: a reader says that it waits before it looks for the last time, so either it finds the item or
    is found waiting.
    """

    __slots__ = ("_is_closed", "_items", "_lock", "_wakers")

    def __init__(self) -> None:
        self._items: list[T] = []
        self._is_closed = False
        self._lock = threading.Lock()
        self._wakers: set[Callable[[], None]] = set()

    def append(self, item: T) -> None:
        """Add ``item``; nothing is added to a closed tape."""
        if not self._is_closed:
            self._items.append(item)
            if self._wakers:
                self._wake()

    def close(self) -> None:
        """End every reader once it has read all. Safe to call twice."""
        self._is_closed = True
        if self._wakers:
            self._wake()

    @property
    def is_closed(self) -> bool:
        """Whether nothing is added any more."""
        return self._is_closed

    def since(self, position: int) -> list[T]:
        """What is there now but for the first ``position`` items."""
        return self._items[position:]

    def snapshot(self) -> tuple[T, ...]:
        """What is there now."""
        return tuple(self._items)

    def _wake(self) -> None:
        with self._lock:
            wakers = tuple(self._wakers)
            self._wakers.clear()
        for waker in wakers:
            waker()

    def _has_more(self, position: int, waker: Callable[[], None]) -> bool:
        """Whether there is something after ``position``, or nothing more to come; else ``waker`` is called when
        there is."""
        with self._lock:
            self._wakers.add(waker)
        if position >= len(self._items) and not self._is_closed:
            return False
        with self._lock:
            self._wakers.discard(waker)
        return True

    def __iter__(self) -> Iterator[T]:
        position = 0
        while True:
            woken = threading.Event()
            if not self._has_more(position, woken.set):
                try:
                    woken.wait()
                finally:
                    with self._lock:
                        self._wakers.discard(woken.set)
                continue
            items = self._items[position:]
            if not items:
                return
            position += len(items)
            yield from items

    async def __aiter__(self) -> AsyncIterator[T]:
        position, loop = 0, asyncio.get_running_loop()
        while True:
            woken: asyncio.Future[None] = loop.create_future()
            waker = partial(_set, loop, woken)
            if not self._has_more(position, waker):
                try:
                    await woken
                finally:
                    with self._lock:
                        self._wakers.discard(waker)
                continue
            items = self._items[position:]
            if not items:
                return
            position += len(items)
            for item in items:
                yield item

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
