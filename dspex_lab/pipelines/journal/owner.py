"""Which process a run belongs to, and whether it lives. A pid alone does not say: pids are given out again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Owner"]

#: The system's clock is set now and then, and a start is told by it, in seconds.
_TOLERANCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: its pid, and when it was started (epoch seconds)."""

    pid: int
    started: float

    @classmethod
    def this_process(cls) -> Owner:
        """Who asks."""
        return _this(os.getpid())

    @property
    def is_alive(self) -> bool:
        """Whether this very process still is; one that ended and was not waited for is not."""
        started = _started(self.pid)
        return started is not None and abs(started - self.started) <= _TOLERANCE_S


@lru_cache(maxsize=1)
def _this(pid: int) -> Owner:
    return Owner(pid, _started(pid) or 0.0)


def _started(pid: int) -> float | None:
    import psutil  # a moment that nobody needs who never looks at a journal

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None
