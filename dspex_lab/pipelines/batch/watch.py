"""What the events of one row's run say about how fast one may go: refusals that a step got over by itself, and waiting
for workers. Told by the router, on the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dspex_lab.calls import TraceContext
from dspex_lab.clock import Clock
from dspex_lab.pipelines.batch.pace import TOO_MANY, Overload
from dspex_lab.pipelines.batch.trace import RowTrace
from dspex_lab.telemetry import Event, EventHub

__all__ = ["RowWatch"]

#: The errors before a retry that say that somebody has enough; a model's own say so by their status, or a time to wait.
_REFUSALS = frozenset({"DeadlineExceeded", "PoolSaturated"})


class RowWatch:
    """The way of one row's events: on to the hub, into the row's trace if it has one, and a look at some."""

    __slots__ = ("_began", "_clock", "_hub", "_on_overload", "_queue_s", "_run_s", "_trace", "retries")

    def __init__(
        self, hub: EventHub, on_overload: Callable[[Overload], object], clock: Clock, trace: RowTrace | None = None
    ) -> None:
        self._hub = hub
        self._on_overload = on_overload
        self._clock = clock
        self._trace = trace
        self._began = clock.monotonic()
        self._queue_s = self._run_s = 0.0
        self.retries = 0

    def emit(self, name: str, /, trace: TraceContext | None = None, **attributes: Any) -> None:
        if name == "python.execute":
            self._queue_s += attributes["queue_s"]
            self._run_s += attributes["run_s"]
        elif name == "router.retry":
            self._retry(attributes)
        is_step = name == "pipeline.step"  # a batch has figures, and no panel of every row's steps
        if self._trace is not None:
            event = Event(name, self._clock.now(), attributes, trace)
            self._trace.keep(event)
            if not is_step:
                self._hub.tell(event)
        elif not is_step:
            self._hub.emit(name, trace, **attributes)

    @property
    def began(self) -> float:
        """When the row began, on the clock's monotonic scale."""
        return self._began

    @property
    def has_queued(self) -> bool:
        """Whether its calls waited for workers for longer than they ran."""
        return self._queue_s > self._run_s

    def _retry(self, attributes: dict[str, Any]) -> None:
        self.retries += 1
        asked_s = attributes.get("asked_s") or None
        is_refusal = attributes.get("error_type") in _REFUSALS or attributes.get("status") in TOO_MANY
        if is_refusal or asked_s is not None:
            now = self._clock.monotonic()
            self._on_overload(Overload(now, self._began, asked_s))
            # What this row does next began now: a refusal of it is a new one.
            self._began = now
