"""The fake clock: time that passes only when a test says so. Passes the contract of ``dspex_lab.clock.Clock``.

Knows nothing of what waits on it. Sleepers may live on any event loop; the test may advance from any thread.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from dataclasses import dataclass, field

__all__ = ["FakeClock"]

#: Turns of the event loop given to woken tasks before time goes on, so that chains of callbacks come to rest.
_SETTLE_TURNS = 20


@dataclass(order=True, slots=True)
class _Sleeper:
    wake_at: float
    number: int  # equal times wake in the order of their calls
    loop: asyncio.AbstractEventLoop = field(compare=False)
    future: asyncio.Future[None] = field(compare=False)


class FakeClock:
    """A clock that stands still until :meth:`advance` or :meth:`run_for` moves it.

    ``now()`` begins at ``start`` (epoch seconds) and ``monotonic()`` at 0; both move together.
    """

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._start = start
        self._elapsed = 0.0
        self._numbers = itertools.count()
        self._lock = threading.RLock()
        self._sleepers: list[_Sleeper] = []

    def now(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, delay_s: float) -> None:
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            sleeper = _Sleeper(self._elapsed + delay_s, next(self._numbers), loop, future)
            heapq.heappush(self._sleepers, sleeper)
        try:
            await future
        finally:
            with self._lock:
                if sleeper in self._sleepers:
                    self._sleepers.remove(sleeper)
                    heapq.heapify(self._sleepers)

    def advance(self, seconds: float) -> None:
        """Move time by ``seconds`` at one stroke and wake, in order, every sleeper whose time has come.

        Usable in synchronous tests too. The woken tasks run when their loop next has its turn; whoever sleeps again
        sleeps from the new time on (:meth:`run_for` goes from waking to waking instead).
        """
        if seconds < 0:
            raise ValueError(f"Time does not go back: {seconds}")
        with self._lock:
            self._move_to(self._elapsed + seconds)

    async def run_for(self, seconds: float) -> None:
        """Let ``seconds`` pass from waking to waking, and let the tasks run between: a task that sleeps 1 s in a
        loop runs three times in 3 s."""
        if seconds < 0:
            raise ValueError(f"Time does not go back: {seconds}")
        end = self._elapsed + seconds
        await self.settle()
        while (wake_at := self._next_wake()) is not None and wake_at <= end:
            with self._lock:
                self._move_to(wake_at)
            await self.settle()
        with self._lock:
            self._move_to(end)
        await self.settle()

    async def settle(self) -> None:
        """Give the tasks of this event loop the turns they need to come to rest; no time passes."""
        for _ in range(_SETTLE_TURNS):
            await asyncio.sleep(0)

    async def wait_for_sleepers(self, count: int = 1) -> None:
        """Come back as soon as at least ``count`` tasks sleep on this clock."""
        while len(self._sleepers) < count:  # noqa: ASYNC110 - the sleepers may live on another thread's loop
            await asyncio.sleep(0)

    @property
    def sleepers(self) -> int:
        """How many tasks sleep on this clock."""
        return len(self._sleepers)

    def _next_wake(self) -> float | None:
        with self._lock:
            return self._sleepers[0].wake_at if self._sleepers else None

    def _move_to(self, elapsed: float) -> None:
        # Never backwards: another thread may have moved further while run_for let tasks run.
        self._elapsed = max(self._elapsed, elapsed)
        while self._sleepers and self._sleepers[0].wake_at <= self._elapsed:
            sleeper = heapq.heappop(self._sleepers)
            if not sleeper.loop.is_closed():
                sleeper.loop.call_soon_threadsafe(_wake, sleeper.future)

    def __repr__(self) -> str:
        return f"<FakeClock [elapsed: {self._elapsed:g} s, sleepers: {len(self._sleepers)}]>"


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
