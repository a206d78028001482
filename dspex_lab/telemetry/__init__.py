"""Events, spans, histograms and their store. Knows nothing of kernels, pipelines or panels."""

from __future__ import annotations

from dspex_lab.telemetry.attributes import clean_attributes, clean_text
from dspex_lab.telemetry.collector import Collector, CollectorStatistics, SeriesStatistics
from dspex_lab.telemetry.events import EVENT_NAMES, Event, EventHub, Observer
from dspex_lab.telemetry.histogram import Histogram, HistogramSnapshot
from dspex_lab.telemetry.outlet import Outlet, OutletStatistics
from dspex_lab.telemetry.reader import RunRecord, TraceReader, TraceSummary
from dspex_lab.telemetry.spans import (
    ActiveSpan,
    Span,
    SpanObserver,
    SpanStatus,
    Tracer,
    current_trace,
    from_traceparent,
    new_span_id,
    to_traceparent,
    use_trace,
)
from dspex_lab.telemetry.store import TraceStore, TraceStoreStatistics

__all__ = [
    "EVENT_NAMES",
    "ActiveSpan",
    "Collector",
    "CollectorStatistics",
    "Event",
    "EventHub",
    "Histogram",
    "HistogramSnapshot",
    "Observer",
    "Outlet",
    "OutletStatistics",
    "RunRecord",
    "SeriesStatistics",
    "Span",
    "SpanObserver",
    "SpanStatus",
    "TraceReader",
    "TraceStore",
    "TraceStoreStatistics",
    "TraceSummary",
    "Tracer",
    "clean_attributes",
    "clean_text",
    "current_trace",
    "from_traceparent",
    "new_span_id",
    "to_traceparent",
    "use_trace",
]
