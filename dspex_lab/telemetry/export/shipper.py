"""Ships finished spans to a receiver as they come, in batches, from a loop that never waits for it.

Bounded: what the receiver does not take in time is dropped, oldest first, and counted; a receiver that is away is tried
again with a growing wait. Nothing of it is ever an error to who made the spans.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import LabError
from dspex_lab.telemetry.spans import Span
from dspex_lab.threads import Threads

__all__ = ["Shipper", "ShipperStatistics"]

log = logging.getLogger(__name__)

_MAX_WAITING = 20_000
_MAX_A_BATCH = 512
_EVERY_S = 1.0
_MAX_WAIT_S = 60.0
_CLOSE_S = 2.0


@dataclass(frozen=True, slots=True)
class ShipperStatistics:
    """Spans that wait, that were taken, and that were dropped: too many, or refused for good."""

    waiting: int
    shipped: int
    dropped: int


class Shipper:
    """``send(spans)`` posts a batch and blocks; it is called in a thread. Put spans in from any thread."""

    def __init__(
        self, send: Callable[[Sequence[Span]], int], clock: Clock | None = None, *, record_prompts: bool = True
    ) -> None:
        self._send = send
        self._record_prompts = record_prompts
        # Not the loop's own: a receiver that hangs must not hold up the end of the process.
        self._threads = Threads()
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._waiting: deque[Span] = deque()
        self._shipped = self._dropped = 0
        self._trouble = ""

    def put(self, spans: Iterable[Span]) -> None:
        """Ship these too, without secrets, and without prompts where these are off. Returns at once."""
        cleaned = [span.cleaned(record_prompts=self._record_prompts) for span in spans]
        with self._lock:
            self._waiting.extend(cleaned)
            while len(self._waiting) > _MAX_WAITING:
                self._waiting.popleft()
                self._dropped += 1

    async def serve(self) -> None:
        """Ship until cancelled."""
        wait_s = _EVERY_S
        while True:
            await self._clock.sleep(wait_s)
            is_well = await self.ship()
            wait_s = _EVERY_S if is_well else min(_MAX_WAIT_S, 2 * wait_s)

    async def ship(self) -> bool:
        """Ship what waits; False when the receiver is away, and it waits on."""
        while batch := self._take():
            try:
                taken = await self._threads.run(partial(self._send, batch))
            except asyncio.CancelledError:
                self._put_back(batch)
                raise
            except Exception as error:
                self._say(error)
                if isinstance(error, LabError) and not error.retryable:
                    self._count(0, len(batch))  # it will not like them better later
                    continue
                self._put_back(batch)
                return False
            self._trouble = ""
            self._count(taken, len(batch) - taken)
        return True

    async def aclose(self) -> None:
        """Ship what is left, for as long as that takes a receiver that is there."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self.ship()
        self._threads.close()

    def statistics(self) -> ShipperStatistics:
        with self._lock:
            return ShipperStatistics(len(self._waiting), self._shipped, self._dropped)

    def _take(self) -> list[Span]:
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(_MAX_A_BATCH, len(self._waiting)))]

    def _put_back(self, batch: Sequence[Span]) -> None:
        with self._lock:
            room = _MAX_WAITING - len(self._waiting)
            kept = batch[max(0, len(batch) - room) :]
            self._waiting.extendleft(reversed(kept))
            self._dropped += len(batch) - len(kept)

    def _count(self, shipped: int, dropped: int) -> None:
        with self._lock:
            self._shipped += shipped
            self._dropped += dropped

    def _say(self, error: Exception) -> None:
        """In the log, once until something else is wrong."""
        if (trouble := str(error)) != self._trouble:
            log.warning("Spans cannot be shipped: %s", trouble)
            self._trouble = trouble

    def __repr__(self) -> str:
        now = self.statistics()
        return f"<Shipper [waiting: {now.waiting}, shipped: {now.shipped}, dropped: {now.dropped}]>"
