"""The panel of one trace: a waterfall in the cell, of spans that are all there or of a run that goes on.

The spans are a value, or come from where the host writes them; knows nothing of who made them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import ConfigurationError
from dspex_lab.telemetry.spans import Span
from dspex_lab.widgets.live_panel import LivePanel
from dspex_lab.widgets.subject import Subject
from dspex_lab.widgets.trace_form import trace_html, trace_text
from dspex_lab.widgets.trace_state import span_attributes, trace_message

__all__ = ["show_spans", "trace_subject"]

#: The spans there are, and whether more will come.
ReadSpans = Callable[[], tuple[Sequence[Span], bool]]


def show_spans(spans: Sequence[Span]) -> None:
    """Show a trace that is over in the current cell: a live waterfall, and a static one that stays."""
    LivePanel(trace_subject(lambda: (spans, False))).display()


def trace_subject(read_spans: ReadSpans, *, clock: Clock | None = None) -> Subject:
    """A trace as the subject of a live panel, which reads it again while more spans may come."""
    at = clock or SystemClock()

    def read() -> dict[str, Any]:
        spans, is_running = read_spans()
        return trace_message(spans, now=at.now(), is_running=is_running)

    def attributes(span: str) -> dict[str, Any]:
        """All attributes of a span, long ones too."""
        for one in read_spans()[0]:
            if one.span_id == span:
                return span_attributes(one)
        raise ConfigurationError(f"There is no span {span!r} in this trace.", "span")

    return Subject(
        "trace",
        read,
        trace_html,
        trace_text,
        {"attributes": attributes},
        free=frozenset({"attributes"}),
        is_settled=lambda state: state.get("status") != "running",
    )
