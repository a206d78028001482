"""What the events of one row's run say about how fast one may go: refusals that a step got over by itself, and waiting
for workers. Told by the router, on the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dspex_lab.calls import TraceContext
from dspex_lab.pipelines.batch.pace import TOO_MANY, Overload
from dspex_lab.router import EmitEvent

__all__ = ["RowWatch"]

#: The errors before a retry that say that somebody has enough; a model's own say so by their status, or a time to wait.
_REFUSALS = frozenset({"DeadlineExceeded", "PoolSaturated"})


class RowWatch:
    """The way of one row's events: on to ``send``, and a look at some."""

    __slots__ = ("_began", "_now", "_on_overload", "_queue_s", "_run_s", "_send", "retries")

    def __init__(self, send: EmitEvent, on_overload: Callable[[Overload], object], now: Callable[[], float]) -> None:
        self._send = send
        self._on_overload = on_overload
        self._now = now
        self._began = now()
        self._queue_s = self._run_s = 0.0
        self.retries = 0

    def emit(self, name: str, /, trace: TraceContext | None = None, **attributes: Any) -> None:
        if name == "python.execute":
            self._queue_s += attributes["queue_s"]
            self._run_s += attributes["run_s"]
        elif name == "router.retry":
            self._retry(attributes)
        elif name == "pipeline.step":
            return  # a batch has figures, and no panel of every row's steps
        self._send(name, trace, **attributes)

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
            now = self._now()
            self._on_overload(Overload(now, self._began, asked_s))
            # What this row does next began now: a refusal of it is a new one.
            self._began = now
