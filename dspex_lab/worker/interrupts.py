"""Whom SIGINT hits: the cancelled call that runs as a plain function on the main thread, and nothing else.

There is one handler for as long as the worker lives, and it decides when the signal is there: one that comes late, or
while another call runs, does nothing. One that comes while the call is about to take or give back a lock that other
threads need does nothing either, and has to be sent again: the lock would be taken for good. Knows nothing of
operations and of the host.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import queue
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import FrameType
from typing import Any, Protocol, TypeVar

__all__ = ["Cancellable", "Interrupts"]

T = TypeVar("T")

#: Code that holds locks which the services thread takes as well.
_LOCKING = frozenset({inspect.getfile(one) for one in (threading, queue, logging, Future, asyncio.base_events)})
#: But here a thread waits, and an interrupt leaves no lock taken.
_WAITING = frozenset({"wait", "join", "_wait_for_tstate_lock"})


class Cancellable(Protocol):
    """What may be interrupted while it runs, once it is cancelled."""

    @property
    def is_cancelled(self) -> bool: ...


class Interrupts:
    """The main thread's. Where it is not installed (the main loop is on another thread) nothing is interrupted."""

    def __init__(self) -> None:
        self._armed: Cancellable | None = None
        self._thread_id: int | None = None
        self._handler = self._handle  # the same object each time, so that it can be told from another's

    def install(self) -> None:
        """Take SIGINT from now on. Call it on the main thread."""
        self._thread_id = threading.get_ident()
        signal.signal(signal.SIGINT, self._handler)

    def run(self, execution: Cancellable, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """``function(*args, **kwargs)``, on the main loop. While it runs, a signal raises KeyboardInterrupt in it if
        ``execution`` is cancelled: once, so that what it does to clean up is left alone. Nothing is raised after it.
        """
        before = self._armed
        try:
            self._armed = execution
            if execution.is_cancelled:  # it came before anybody could be signalled
                raise KeyboardInterrupt
            if self._thread_id is not None and signal.getsignal(signal.SIGINT) is not self._handler:
                signal.signal(signal.SIGINT, self._handler)  # a call before this one left its own
            return function(*args, **kwargs)
        finally:
            self._armed = before

    def interrupt(self, execution: Cancellable) -> bool:
        """Signal the main thread if it runs ``execution``, which is cancelled; False when it does not, or was hit. From
        any thread: if another call comes in between, the handler sees that one. To be called again while it is True:
        a signal that comes just before the call waits, or is about a lock, is for nothing."""
        if self._thread_id is None or self._armed is not execution:
            return False
        signal.pthread_kill(self._thread_id, signal.SIGINT)
        return True

    def _handle(self, _number: int, frame: FrameType | None) -> None:
        if self._armed is not None and self._armed.is_cancelled and not _is_about_a_lock(frame):
            self._armed = None
            raise KeyboardInterrupt


def _is_about_a_lock(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_code.co_filename in _LOCKING and frame.f_code.co_name not in _WAITING
