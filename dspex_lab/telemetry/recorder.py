"""What a process tells its host: the events of its runs and its own spans, in batches, about once a second.

A run pays one append for all of it: its tape is followed, and read when there is time. What nobody hears yet is kept,
so that a notebook without a host shows its traces too; what is too much goes, oldest runs first, and is counted.
Safe from any thread; knows no wire, and nothing of runs but their tapes.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from dspex_lab.clock import Clock, SystemClock
from dspex_lab.telemetry.attributes import clean_attributes
from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.run_trace import spans_of
from dspex_lab.telemetry.spans import Span

__all__ = ["EventTape", "Recorder", "RecorderStatistics", "Tell"]

log = logging.getLogger(__name__)

_EVERY_S = 1.0
#: At most so much is told at a time, in messages of so many: the host has other things to do than to write.
_MAX_A_TURN = 5_000
_MAX_A_MESSAGE = 500
#: What is kept while nobody hears it.
_MAX_KEPT_RUNS = 1_000
_MAX_KEPT_EVENTS = 50_000
_MAX_KEPT_SPANS = 5_000


class EventTape(Protocol):
    """A run's events: append-only, and closed with the run."""

    @property
    def is_closed(self) -> bool: ...

    def since(self, position: int) -> list[Event]: ...

    def __len__(self) -> int: ...


class Tell(Protocol):
    """Where it goes: whether somebody heard it. Called on the event loop; ``Backend.tell`` is one."""

    def __call__(self, spans: Sequence[Span], events: Sequence[Event], /) -> bool: ...


@dataclass(frozen=True, slots=True)
class RecorderStatistics:
    """Runs that are followed or kept, events told, and runs and spans that were dropped because nobody heard them."""

    kept: int
    told: int
    dropped: int


@dataclass(slots=True, eq=False)
class _Followed:
    tape: EventTape
    told: int = 0


class Recorder:
    """Follows tapes and tells what is on them. :meth:`serve` is its loop; :meth:`follow` may be called from any thread.

    Without ``record_prompts`` no prompt, answer or input of a user's leaves the process.
    """

    def __init__(self, clock: Clock | None = None, *, record_prompts: bool = True) -> None:
        self._clock = clock or SystemClock()
        self._record_prompts = record_prompts
        self._lock = threading.Lock()
        # New ones come in without a lock: adding to a deque is one step to every thread.
        self._new: deque[_Followed] = deque()
        self._followed: list[_Followed] = []
        self._spans: deque[Span] = deque()
        self._told = self._dropped = 0
        self._is_awake = False
        self._wake: Callable[[], object] = _nothing

    # --- what comes in --------------------------------------------------------------------------------------------

    def follow(self, tape: EventTape) -> None:
        """Tell what is on ``tape`` and what comes, until it is closed."""
        self._new.append(_Followed(tape))
        self.wake()

    def add_span(self, span: Span) -> None:
        """Tell a span of this process's own."""
        with self._lock:
            self._spans.append(span)
            if len(self._spans) > _MAX_KEPT_SPANS:
                self._spans.popleft()
                self._dropped += 1
        self.wake()

    def wake(self) -> None:
        """There is something to tell, or somebody to hear it."""
        if not self._is_awake:
            self._is_awake = True
            self._wake()

    # --- what is kept ---------------------------------------------------------------------------------------------

    def spans(self) -> list[Span]:
        """What nobody has heard yet, as spans by their start: what a notebook without a host has of its runs."""
        self._sort_in()
        with self._lock:
            kept, own = tuple(self._followed), tuple(self._spans)
        found = [*own, *(span for one in kept for span in spans_of(one.tape.since(0)))]
        return sorted((self._cleaned_span(span) for span in found), key=lambda span: span.start)

    def statistics(self) -> RecorderStatistics:
        with self._lock:
            return RecorderStatistics(len(self._new) + len(self._followed), self._told, self._dropped)

    def _sort_in(self) -> None:
        with self._lock:
            while self._new:
                self._followed.append(self._new.popleft())
            self._bound()

    def _bound(self) -> None:
        """Drop the oldest runs of those that nobody has heard, while there are too many or too long ones."""
        left = sum(len(one.tape) for one in self._followed)
        too_many = len(self._followed) - _MAX_KEPT_RUNS
        while len(self._followed) > 1 and (too_many > 0 or left > _MAX_KEPT_EVENTS):
            left -= len(self._followed.pop(0).tape)
            too_many -= 1
            self._dropped += 1

    # --- what goes out --------------------------------------------------------------------------------------------

    async def serve(self, tell: Tell) -> None:
        """Tell, about once a second and only while there is something to tell, until cancelled."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: _call(loop, woken.set)
        while True:
            if not self._is_awake:
                await woken.wait()
            woken.clear()
            await self._clock.sleep(_EVERY_S)
            self._is_awake = False
            try:
                self.flush(tell)
            except Exception:  # telemetry never breaks what it tells of
                log.warning("Telemetry could not be told.", exc_info=True)
            if self._is_under_way():
                self._is_awake = True

    def flush(self, tell: Tell) -> bool:
        """Tell what there is now; whether all of it was heard. Called on the event loop."""
        self._sort_in()
        if not self._tell_spans(tell):
            return False
        left = _MAX_A_TURN
        for one in tuple(self._followed):
            fresh = one.tape.since(one.told)
            events = [event for event in fresh if event.name != "token"]
            if not self._tell_events(tell, events):
                return False
            one.told += len(fresh)
            self._told += len(events)
            left -= len(events)
            if left <= 0:
                self.wake()
                break
        with self._lock:
            self._followed = [one for one in self._followed if not (one.tape.is_closed and one.told >= len(one.tape))]
        return True

    def _is_under_way(self) -> bool:
        return any(not one.tape.is_closed for one in self._followed)

    def _tell_spans(self, tell: Tell) -> bool:
        while True:
            with self._lock:
                spans = [self._spans.popleft() for _ in range(min(len(self._spans), _MAX_A_MESSAGE))]
            if not spans:
                return True
            if not tell([self._cleaned_span(span) for span in spans], ()):
                with self._lock:
                    self._spans.extendleft(reversed(spans))
                return False

    def _tell_events(self, tell: Tell, events: list[Event]) -> bool:
        if not self._record_prompts:
            events = [self._cleaned(event) for event in events]
        for start in range(0, len(events), _MAX_A_MESSAGE):
            batch = events[start : start + _MAX_A_MESSAGE]
            try:
                is_heard = tell((), batch)
            except (ValueError, TypeError, OverflowError):  # a text or a number that has no form as bytes
                is_heard = tell((), [self._cleaned(event) for event in batch])
            if not is_heard:
                return False
        return True

    def _cleaned(self, event: Event) -> Event:
        attributes = clean_attributes(event.attributes, record_prompts=self._record_prompts)
        return msgspec.structs.replace(event, attributes=attributes)

    def _cleaned_span(self, span: Span) -> Span:
        return span.cleaned(record_prompts=self._record_prompts)

    def __repr__(self) -> str:
        now = self.statistics()
        return f"<Recorder [runs kept: {now.kept}, events told: {now.told}, dropped: {now.dropped}]>"


def _nothing() -> None:
    """Nobody serves yet."""


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:  # the loop is closed, and nobody hears any more
        log.debug("Telemetry came after the end of the lab.")
