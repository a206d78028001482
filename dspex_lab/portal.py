"""The way from synchronous code to the asynchronous implementation: one thread with an event loop.

A thin adapter over anyio's blocking portal. A cell waits in :meth:`Portal.run`, in a way that an interrupt of the
kernel ends at once (a top-level ``await`` cannot promise that), and the interrupted work is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from dspex_lab.errors import HostUnavailable, LabError
from dspex_lab.errors.interrupts import shown_briefly
from dspex_lab.threads import Threads

__all__ = ["Portal"]

T = TypeVar("T")


class Portal:
    """An event loop on a thread of its own; usable from every other thread. Close it, or use it with ``with``.

    ``threads`` are for what must not hold up the loop; they end with it."""

    def __init__(self) -> None:
        self._is_closed = False
        self._pid = os.getpid()
        self.threads = Threads()
        ready: Future[BlockingPortal] = Future()
        # Not anyio's own way to start one: in a fork it waits for its thread as soon as it is collected.
        self._thread = threading.Thread(target=_run, args=(ready,), name="dspex-lab", daemon=True)
        self._thread.start()
        self._portal = ready.result()
        self.loop: asyncio.AbstractEventLoop = self._portal.call(asyncio.get_running_loop)

    @property
    def is_closed(self) -> bool:
        """Whether nothing runs on it any more: it was closed, or this is a fork, which the thread did not come to."""
        return self._is_closed or self._is_forked()

    def _is_forked(self) -> bool:
        return os.getpid() != self._pid

    def run(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        """Run ``function(*args)`` on the loop and wait for it; an interrupt cancels it and is raised here."""
        future = self.start(function, *args)
        try:
            return future.result()
        except BaseException as error:
            future.cancel()
            if isinstance(error, KeyboardInterrupt):
                shown_briefly(error)
            raise

    def start(self, function: Callable[..., Awaitable[T]], *args: object) -> Future[T]:
        """Start ``function(*args)`` on the loop; cancelling the future cancels it there. Raises ``LabError`` on the
        loop's own thread, and ``HostUnavailable`` when it is closed."""
        self._check()
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
        """Call the plain ``function(*args)`` on the loop's thread and wait for its value. Raises what :meth:`start`
        does."""
        self._check()
        return self._portal.call(function, *args)

    def _check(self) -> None:
        """Raises a ``LabError`` where nothing can be run on the loop, or nobody may wait for it."""
        if self._is_forked():
            raise HostUnavailable(
                "A lab does not come along into a forked process.",
                hint='Make a new Lab() there, or start the process anew (multiprocessing\'s "spawn").',
                retryable=False,
            )
        if self._is_closed:
            raise HostUnavailable("The lab is closed.", hint="Make a new Lab().", retryable=False)
        if threading.get_ident() == self._thread.ident:
            # It would wait for itself.
            raise LabError(
                "This waits for the lab's event loop, and is called on it.",
                hint="An asynchronous function awaits: `await program.acall(...)`, `await run`, `await job.aresult()`;"
                " an observer hands its work to a thread.",
            )

    def close(self) -> None:
        """Cancel what is running, end the loop and its thread; in a fork there is nothing to end."""
        if self.is_closed:
            return
        self._is_closed = True
        with contextlib.suppress(RuntimeError):
            self._portal.call(self._portal.stop, True)
        self._thread.join()
        self.threads.close()

    def __enter__(self) -> Portal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _run(ready: Future[BlockingPortal]) -> None:
    async def serve() -> None:
        async with BlockingPortal() as portal:
            ready.set_result(portal)
            await portal.sleep_until_stopped()

    try:
        anyio.run(serve, backend="asyncio")
    except BaseException as error:
        if ready.done():
            raise
        ready.set_exception(error)
