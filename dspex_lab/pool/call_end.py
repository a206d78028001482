"""How a call ended, as a value, and the spans that it makes: the call's, and below it the one of its wait.

Knows nothing of who counts or keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dspex_lab.calls import TraceContext, Usage
from dspex_lab.telemetry import Span, SpanStatus
from dspex_lab.telemetry import attributes as names
from dspex_lab.telemetry.spans import new_span_id

__all__ = ["CallEnd"]

#: What a span's status is by the type of its error; "error" for any other.
_STATUSES: Mapping[str, SpanStatus] = {"": "ok", "Cancelled": "cancelled"}


class CallEnd(msgspec.Struct, frozen=True):
    """How a call ended. Times in seconds: ``ended`` since the epoch, ``queue_s`` and ``run_s`` how long.

    ``error_type`` is "" when it ended well. ``trace`` is where its caller hangs it, ``span_id`` its own place.
    ``has_begun``: a worker had it. ``is_nested``: another call made it, whose figures hold its own already.
    """

    op: str
    pool: str
    worker: str
    ended: float
    queue_s: float
    run_s: float
    error_type: str = ""
    message: str = ""
    usage: Usage | None = None
    trace: TraceContext | None = None
    span_id: str = ""
    has_begun: bool = True
    is_nested: bool = False

    def to_spans(self) -> list[Span]:
        """The call as a span from its submission to its end, with its time in the queue as another below it; none for
        a call that hangs in no trace."""
        if self.trace is None:
            return []
        usage = self.usage or Usage()
        found = {
            names.KIND: "call",
            names.OPERATION: self.op,
            names.POOL: self.pool,
            names.WORKER: self.worker or None,
            names.QUEUE_S: self.queue_s,
            names.INPUT_TOKENS: usage.input_tokens or None,
            names.OUTPUT_TOKENS: usage.output_tokens or None,
            names.COST_USD: usage.cost,
            names.ERROR_TYPE: self.error_type or None,
        }
        submitted = self.ended - self.queue_s - self.run_s
        status = _STATUSES.get(self.error_type, "error")
        call = Span(
            self.trace.trace_id,
            self.span_id,
            self.trace.span_id,
            f"pool {self.op}",
            submitted,
            self.ended,
            status,
            {key: value for key, value in found.items() if value is not None},
            self.message,
        )
        queue = Span(
            self.trace.trace_id,
            new_span_id(),
            self.span_id,
            f"queue {self.pool}",
            submitted,
            submitted + self.queue_s,
            "ok" if self.has_begun else status,
            {names.KIND: "queue", names.POOL: self.pool},
        )
        return [call, queue]
