"""Time as an argument: what waits or stamps takes a :class:`Clock`, so that tests never sleep.

The fake clock is ``dspex_lab.testing.FakeClock``; both pass ``tests/contracts/test_clock.py``.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What the house knows of time; all figures are seconds."""

    def now(self) -> float:
        """Seconds since the Unix epoch: for stamps and for deadlines that cross process borders."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back: for durations inside one process."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Come back after ``delay_s`` seconds, or be cancelled."""
        ...


class SystemClock:
    """The machine's own clock."""

    # Asked for at every event, so with nothing in between.
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
