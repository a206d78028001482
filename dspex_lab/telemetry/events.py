"""Events: what happened, as frozen values, and the hub that hands them to observers.

An observer that raises is detached and never breaks a run; with no observer an event is not even built
(ask :meth:`EventHub.is_observed` first on hot paths). This module knows nothing of stores, panels or wires.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from dspex_lab.calls import TraceContext
from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import ConfigurationError
from dspex_lab.errors.nearest import did_you_mean

__all__ = ["EVENT_NAMES", "Event", "EventHub", "Observer"]

log = logging.getLogger(__name__)

#: Every name that the house emits. A name ending in ".*" in a subscription matches by prefix.
EVENT_NAMES = frozenset(
    {
        "run.start",  # attributes: run_id, pipeline, steps (list of {"name", "kind", "reads", "writes"}), inputs
        "run.end",  # run_id, status ("succeeded" | "failed" | "cancelled"), duration_s, usage, error
        "pipeline.step",  # run_id, step, status ("running" | "succeeded" | "failed" | "cancelled" | "skipped"), ...
        "run.question",  # run_id, id, step, text, shows, fields, default, asked_at, answer_by: people are asked
        "run.answer",  # run_id, question (its id), step, by ("answer" | "default" | "withdrawn")
        "pipeline.warning",  # run_id, step (or None), message: something to know that stops no run
        "token",  # run_id, step, field, text, sent_at
        "router.route",  # run_id, step, operation, route ("native" | "python" | "hybrid"), reason, target
        "router.retry",  # run_id, step, operation, retry (counted from 1), reason, error_type, status, wait_s, asked_s
        "router.circuit",  # run_id, step, operation, target, state ("closed" | "open" | "half-open"), reason
        "native.execute",  # run_id, step, operation, duration_s
        "python.execute",  # run_id, step, operation, worker, queue_s, run_s, usage
        "cache.hit",  # run_id, step, operation, key, place, origin ("hit" | "shared")
        "cache.miss",  # run_id, step, operation, key, place
        "pool.checkout",
        "pool.checkin",
        "pool.worker",  # pool, worker, state
        "error.native",
        "error.python",
        "error.pipeline",
    }
)

Observer = Callable[["Event"], None]


class Event(msgspec.Struct, frozen=True, gc=False):  # plain data never holds itself
    """One thing that happened: a name from :data:`EVENT_NAMES`, epoch seconds, plain-data attributes."""

    name: str
    time: float
    attributes: Mapping[str, Any] = msgspec.field(default_factory=dict)
    trace: TraceContext | None = None


class EventHub:
    """Hands events to observers, in the order of emission, on the emitting thread. Safe from any thread."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._observers: tuple[tuple[str, Observer], ...] = ()

    def on(self, pattern: str, observer: Observer) -> Callable[[], None]:
        """Call ``observer(event)`` for each event whose name is ``pattern`` (``"*"``, ``"pipeline.*"``); the
        returned function detaches it. Raises ``ConfigurationError`` where no event is called so."""
        if not _known(str(pattern)):
            names = ", ".join(sorted(EVENT_NAMES))
            hint = did_you_mean(pattern, sorted(EVENT_NAMES), f"There are {names}; '*' is all of them.")
            raise ConfigurationError(f"No event is called {pattern!r}.", "event", names, str(pattern), hint=hint)
        if not callable(observer):
            raise ConfigurationError(
                f"An observer is a function of an event, not a {type(observer).__name__}.",
                "observer",
                "a function",
                type(observer).__name__,
                hint=f'For example lab.on("{pattern}", print).',
            )
        entry = (pattern, observer)
        with self._lock:
            self._observers = (*self._observers, entry)
        return lambda: self._detach(entry)

    def is_observed(self) -> bool:
        return bool(self._observers)

    def emit(self, name: str, /, trace: TraceContext | None = None, **attributes: Any) -> None:
        """Tell every observer of ``name``; costs next to nothing when there is none."""
        if self._observers:
            self.tell(Event(name, self._clock.now(), attributes, trace))

    def tell(self, event: Event) -> None:
        """Tell every observer of an event that is there already."""
        for entry in self._observers:
            pattern, observer = entry
            if pattern != "*" and not _matches(pattern, event.name):
                continue
            try:
                observer(event)
            except Exception:
                log.warning("The observer %r failed on %s and was detached.", observer, event.name, exc_info=True)
                self._detach(entry)

    def _detach(self, entry: tuple[str, Observer]) -> None:
        with self._lock:
            self._observers = tuple(one for one in self._observers if one is not entry)

    def __repr__(self) -> str:
        return f"<EventHub [observers: {len(self._observers)}]>"


def _matches(pattern: str, name: str) -> bool:
    return pattern in ("*", name) or (pattern.endswith(".*") and name.startswith(pattern[:-1]))


def _known(pattern: str) -> bool:
    return any(_matches(pattern, name) for name in EVENT_NAMES)
