"""Threads that a cancelled call left behind: nothing ends them but the end of their process."""

from __future__ import annotations

import inspect
import queue
import sys
import threading
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

from dspex_lab.wire.mappings import Mappings

__all__ = ["has_leftovers"]

#: Where the threads of executors and of other pools wait for work, and where large values are let go of.
_IDLE = {
    (inspect.getfile(ThreadPoolExecutor), "_worker"),
    (inspect.getfile(queue), "get"),
    (inspect.getfile(Mappings), "_unmap"),
}
_DEPTH = 3


def has_leftovers(before: Collection[threading.Thread]) -> bool:
    """Whether threads that are not among those ``before`` do something else than to wait for work."""
    frames = sys._current_frames()  # noqa: SLF001 - documented, for such uses as this
    added = [thread for thread in threading.enumerate() if thread not in before]
    return any(not _is_idle(frames.get(thread.ident or 0)) for thread in added)


def _is_idle(frame: FrameType | None) -> bool:
    """Looks at the innermost frames; a thread without any has ended, or not begun."""
    if frame is None:
        return True
    innermost: list[tuple[str, str]] = []
    while frame is not None and len(innermost) < _DEPTH:
        innermost.append((frame.f_code.co_filename, frame.f_code.co_name))
        frame = frame.f_back
    return not _IDLE.isdisjoint(innermost)
