"""The way from synchronous code to the asynchronous implementation: one thread with an event loop.

A thin adapter over anyio's blocking portal. A cell waits in :meth:`Portal.run`, in a way that an interrupt of the
kernel ends at once (a top-level ``await`` cannot promise that), and the interrupted work is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from dspex_lab.threads import Threads

__all__ = ["Portal"]

T = TypeVar("T")


class Portal:
    """An event loop on a thread of its own; usable from every other thread. Close it, or use it with ``with``.

    ``threads`` are for what must not hold up the loop; they end with it."""

    def __init__(self) -> None:
        #: Whether it was closed: nothing runs on it any more.
        self.is_closed = False
        self.threads = Threads()
        self._stack = contextlib.ExitStack()
        self._portal: BlockingPortal = self._stack.enter_context(start_blocking_portal("asyncio", name="dspex-lab"))
        self.loop: asyncio.AbstractEventLoop = self._portal.call(asyncio.get_running_loop)

    def run(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        """Run ``function(*args)`` on the loop and wait for it; an interrupt cancels it and is raised here."""
        future = self.start(function, *args)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def start(self, function: Callable[..., Awaitable[T]], *args: object) -> Future[T]:
        """Start ``function(*args)`` on the loop; cancelling the future cancels it there."""
        begun: list[asyncio.Task[object]] = []
        is_abandoned = False

        async def work() -> T:
            if is_abandoned:
                raise asyncio.CancelledError
            begun.extend(filter(None, [asyncio.current_task()]))
            return await function(*args)

        try:
            return self._portal.start_task_soon(work)
        except BaseException:
            # An interrupt may come when the work has begun and its future is not here yet.
            is_abandoned = True
            for task in begun:
                task.get_loop().call_soon_threadsafe(task.cancel)
            raise

    def call_soon(self, function: Callable[..., T], *args: object) -> T:
        """Call the plain ``function(*args)`` on the loop's thread and wait for its value."""
        return self._portal.call(function, *args)

    def close(self) -> None:
        """Cancel what is running, end the loop and its thread."""
        self.is_closed = True
        with contextlib.suppress(RuntimeError):
            self._portal.call(self._portal.stop, True)
        self._stack.close()
        self.threads.close()

    def __enter__(self) -> Portal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
