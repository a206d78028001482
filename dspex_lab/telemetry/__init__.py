"""Events, spans, histograms and their store. Knows nothing of kernels, pipelines or panels."""

from __future__ import annotations

from dspex_lab.telemetry.attributes import clean_attributes, clean_text
from dspex_lab.telemetry.cells import Cells
from dspex_lab.telemetry.collector import Collector, CollectorStatistics, SeriesStatistics
from dspex_lab.telemetry.events import EVENT_NAMES, Event, EventHub, Observer
from dspex_lab.telemetry.histogram import Histogram, HistogramSnapshot
from dspex_lab.telemetry.history import History
from dspex_lab.telemetry.library import TraceLibrary
from dspex_lab.telemetry.outlet import Outlet, OutletStatistics
from dspex_lab.telemetry.reader import RunRecord, TraceReader
from dspex_lab.telemetry.recorder import Recorder, RecorderStatistics
from dspex_lab.telemetry.run_trace import RunTraces, spans_of
from dspex_lab.telemetry.spans import (
    ActiveSpan,
    Span,
    SpanObserver,
    SpanStatus,
    Tracer,
    below,
    current_trace,
    from_traceparent,
    new_span_id,
    to_traceparent,
    use_trace,
)
from dspex_lab.telemetry.store import TraceStore, TraceStoreStatistics
from dspex_lab.telemetry.trace import Trace, TraceSummary

__all__ = [
    "EVENT_NAMES",
    "ActiveSpan",
    "Cells",
    "Collector",
    "CollectorStatistics",
    "Event",
    "EventHub",
    "Histogram",
    "HistogramSnapshot",
    "History",
    "Observer",
    "Outlet",
    "OutletStatistics",
    "Recorder",
    "RecorderStatistics",
    "RunRecord",
    "RunTraces",
    "SeriesStatistics",
    "Span",
    "SpanObserver",
    "SpanStatus",
    "Trace",
    "TraceLibrary",
    "TraceReader",
    "TraceStore",
    "TraceStoreStatistics",
    "TraceSummary",
    "Tracer",
    "below",
    "clean_attributes",
    "clean_text",
    "current_trace",
    "from_traceparent",
    "new_span_id",
    "spans_of",
    "to_traceparent",
    "use_trace",
]
