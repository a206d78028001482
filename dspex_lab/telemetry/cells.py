"""The notebook's cells as spans: what is begun in a cell hangs under it, on whichever thread.

Told of cells by the notebook's hooks; knows nothing of IPython. A cell in which nothing was traced leaves no span.
"""

from __future__ import annotations

import threading

from dspex_lab.calls import TraceContext, new_id
from dspex_lab.clock import Clock, SystemClock
from dspex_lab.telemetry import attributes as names
from dspex_lab.telemetry.spans import Span, SpanStatus, current_trace, enter_trace, is_cancellation, new_span_id

__all__ = ["Cells"]

#: So much of a cell is shown with its span.
_MAX_SHOWN = 200


class Cells:
    """The cell that runs now. Begun and ended on the main thread; asked from any."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._context: TraceContext | None = None
        self._started = 0.0
        self._source = ""
        self._is_used = False

    def begin(self, source: str) -> None:
        """A cell with this text runs."""
        with self._lock:
            self._context = TraceContext(new_id(), new_span_id())
            self._started, self._source = self._clock.now(), source
            self._is_used = False
        enter_trace(self._context)

    def place(self) -> TraceContext | None:
        """Where what begins now hangs: under what runs here, else under the cell; None outside of both."""
        here = current_trace()
        with self._lock:
            if here is None or here == self._context:
                self._is_used = True
                return self._context
        return here

    def end(self, number: int | None = None, error: BaseException | None = None) -> Span | None:
        """The cell ended, whose number is ``number``; its span, if anything hangs under it."""
        enter_trace(None)
        with self._lock:
            context, is_used = self._context, self._is_used
            self._context = None
        if context is None or not is_used:
            return None
        lines = self._source.strip().splitlines() or [""]
        shown = lines[0][:_MAX_SHOWN] + (" …" if len(lines) > 1 or len(lines[0]) > _MAX_SHOWN else "")
        status: SpanStatus = "ok" if error is None else "cancelled" if is_cancellation(error) else "error"
        found = {
            names.KIND: "cell",
            names.CELL_NUMBER: number,
            names.CELL_TEXT: shown,
            names.ERROR_TYPE: type(error).__name__ if status == "error" else None,
        }
        return Span(
            context.trace_id,
            context.span_id,
            None,
            "cell" if number is None else f"cell [{number}]",
            self._started,
            max(self._started, self._clock.now()),
            status,
            {key: value for key, value in found.items() if value is not None},
            str(error) if status == "error" else "",
        )

    def __repr__(self) -> str:
        return f"<Cells [{'none runs' if self._context is None else 'one runs'}]>"
