"""The panel of one trace: a waterfall in the cell, of spans that are all there or of a run that goes on.

Knows traces as values; who reads them again and again is told by a function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import ConfigurationError
from dspex_lab.telemetry.spans import Span
from dspex_lab.telemetry.trace import Trace
from dspex_lab.widgets.subject import Subject
from dspex_lab.widgets.trace_form import trace_html
from dspex_lab.widgets.trace_state import span_attributes, trace_message

__all__ = ["ReadSpans", "TraceDesk", "trace_subject"]

#: The spans there are, and whether more will come.
ReadSpans = Callable[[], tuple[Sequence[Span], bool]]


def trace_subject(read_spans: ReadSpans, *, clock: Clock | None = None) -> Subject:
    """A trace as the subject of a live panel, which reads it again while more spans may come."""
    desk = TraceDesk(read_spans, clock or SystemClock())
    return Subject(
        "trace",
        desk.read,
        trace_html,
        desk.text,
        {"attributes": desk.attributes},
        free=frozenset({"attributes"}),
        is_settled=lambda state: state.get("status") != "running",
    )


class TraceDesk:
    """Reads one trace, and keeps what it read last: a page may ask for all of a span."""

    def __init__(self, read_spans: ReadSpans, clock: Clock) -> None:
        self._read_spans = read_spans
        self._clock = clock
        self._spans: Mapping[str, Span] = {}

    def read(self) -> dict[str, Any]:
        """The state as :func:`~dspex_lab.widgets.trace_state.trace_message` makes it."""
        spans, is_running = self._read_spans()
        self._spans = {span.span_id: span for span in spans}
        return trace_message(spans, now=self._clock.now(), is_running=is_running)

    def text(self, _state: Mapping[str, Any]) -> str:
        """The trace in lines, as the value itself shows them."""
        return repr(Trace.of(self._spans.values())) if self._spans else "This trace holds no spans yet."

    def attributes(self, span: str) -> dict[str, Any]:
        """All attributes of a span, long ones too."""
        if span not in self._spans:
            raise ConfigurationError(f"There is no span {span!r} in this trace.", "span")
        return span_attributes(self._spans[span])

    def __repr__(self) -> str:
        return f"<TraceDesk [{len(self._spans)} spans]>"
