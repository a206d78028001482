"""Threads for users' functions: as many as are wanted at a time, used again, and never in the way of a process's end.

A function that blocks for ever blocks its own thread and nobody else. Knows nothing of what they do.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

__all__ = ["Threads", "ThreadsStatistics"]

T = TypeVar("T")
_Inbox = SimpleQueue[Callable[[], None] | None]

#: How long a thread waits for more before it ends.
_IDLE_S = 10.0


@dataclass(frozen=True, slots=True)
class ThreadsStatistics:
    """The threads that work now, and those that wait for work."""

    busy: int
    idle: int


class Threads:
    """Runs functions, each on a thread of its own. Close it: threads that wait end then, others with their work."""

    def __init__(self) -> None:
        self._idle: deque[_Inbox] = deque()
        self._all: set[_Inbox] = set()
        self._is_closed = False

    def start(self, work: Callable[[], None]) -> None:
        """Have ``work`` called on a thread, in the caller's context. It must raise nothing."""
        context = contextvars.copy_context()
        try:
            # The one that worked last is still warm.
            inbox = self._idle.pop()
        except IndexError:
            if self._is_closed:
                raise RuntimeError("The threads are closed.") from None
            inbox = SimpleQueue()
            self._all.add(inbox)
            threading.Thread(target=self._serve, args=(inbox,), name="dspex-function", daemon=True).start()
        inbox.put(lambda: context.run(work))

    async def run(self, function: Callable[[], T]) -> T:
        """The value of ``function()``, called on a thread. When the waiting task is cancelled the function is left to
        end by itself."""
        return await self.submit(function)

    def submit(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Have ``function`` called on a thread; its value or error comes to the running event loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                value = function()
            except BaseException as error:
                _tell(loop, _fail, future, error)
            else:
                _tell(loop, _finish, future, value)

        self.start(work)
        return future

    def close(self) -> None:
        """Let no more work begin, and every thread end once it has nothing to do. Waits for none."""
        self._is_closed = True
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread took the last one
                self._idle.pop().put(None)

    def statistics(self) -> ThreadsStatistics:
        idle = len(self._idle)
        return ThreadsStatistics(len(self._all) - idle, idle)

    def _serve(self, inbox: _Inbox) -> None:
        while (work := self._next(inbox)) is not None:
            work()
            del work  # or its values would live until the next one comes
            self._idle.append(inbox)
            if self._is_closed:
                self.close()
        self._all.discard(inbox)

    def _next(self, inbox: _Inbox) -> Callable[[], None] | None:
        """What comes next for a thread, or None when nothing came for long."""
        while True:
            try:
                return inbox.get(timeout=_IDLE_S)
            except Empty:
                # Where it is not idle any more, somebody took it in this very moment.
                with contextlib.suppress(ValueError):
                    self._idle.remove(inbox)
                    return None

    def __repr__(self) -> str:
        statistics = self.statistics()
        return f"<Threads [busy: {statistics.busy}, idle: {statistics.idle}]>"


def _tell(loop: asyncio.AbstractEventLoop, how: Callable[..., None], *what: Any) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits any more
        loop.call_soon_threadsafe(how, *what)


def _finish(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
