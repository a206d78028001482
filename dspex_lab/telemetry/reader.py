"""Reading what the host's trace store wrote: runs, events, spans and traces, also while it writes.

Every process of the user may read the file, with or without a host. Knows nothing of who writes it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from dspex_lab.calls import TraceContext
from dspex_lab.telemetry.database import open_for_reading
from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.spans import Span
from dspex_lab.telemetry.trace import TraceSummary

__all__ = ["RunRecord", "TraceReader"]

#: More spans of one trace than nobody can look at.
_MAX_SPANS = 50_000


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a pipeline; ``started_at`` in epoch seconds. "running", and "waiting" for an answer of people's, also
    mean: its end was never told."""

    run_id: str
    pipeline: str
    status: str
    started_at: float
    duration_s: float | None
    trace_id: str | None
    attributes: Mapping[str, Any]

    @property
    def is_under_way(self) -> bool:
        """Whether its end was not told."""
        return self.status in ("running", "waiting")


class TraceReader:
    """Looks into a trace store's file. Safe from any thread; close it, or use it with ``with``."""

    def __init__(self, path: Path) -> None:
        """Open the file for reading. Raises ``FileNotFoundError`` where no host has written one yet."""
        self._path = path
        self._lock = threading.RLock()
        self._database: sqlite3.Connection | None = open_for_reading(path)

    @property
    def path(self) -> Path:
        return self._path

    def runs(self, limit: int = 100) -> tuple[RunRecord, ...]:
        """The latest runs, newest first."""
        rows = self._select(f"{_SELECT_RUN} ORDER BY started_at DESC, rowid DESC LIMIT ?", limit)
        return tuple(_run_of(row) for row in rows)

    def run(self, run_id: str) -> RunRecord | None:
        """One run, or None."""
        rows = self._select(f"{_SELECT_RUN} WHERE run_id = ?", run_id)
        return _run_of(rows[0]) if rows else None

    def events(self, run_id: str) -> tuple[Event, ...]:
        """The events of one run, in the order in which they were written."""
        rows = self._select(
            "SELECT name, time, trace_id, span_id, attributes FROM events WHERE run_id = ? ORDER BY rowid", run_id
        )
        return tuple(
            Event(name, time, msgspec.json.decode(attributes), TraceContext(trace_id, span_id) if trace_id else None)
            for name, time, trace_id, span_id, attributes in rows
        )

    def spans(self, trace_id: str, limit: int = _MAX_SPANS) -> tuple[Span, ...]:
        """The spans of one trace, by their start."""
        rows = self._select(f"{_SELECT_SPAN} WHERE trace_id = ? ORDER BY started, rowid LIMIT ?", trace_id, limit)
        return tuple(_span_of(row) for row in rows)

    def run_spans(self, run_id: str, limit: int = _MAX_SPANS) -> tuple[Span, ...]:
        """The spans of one run and all that hangs below them, by their start; without the cell that it was begun in,
        and the other runs of that."""
        rows = self._select(_SELECT_RUN_SPANS, run_id, limit)
        return tuple(_span_of(row) for row in rows)

    def traces(self, limit: int = 100) -> tuple[TraceSummary, ...]:
        """The latest traces, newest first: those of which something ended last. The root is the span without a parent,
        or the earliest where that has not ended."""
        found = [one for trace_id in self._latest(limit) if (one := self._summary(trace_id)) is not None]
        return tuple(sorted(found, key=lambda one: one.start, reverse=True))

    def ids(self, beginning: str, limit: int = 10) -> tuple[str, ...]:
        """The ids of traces and runs that begin so."""
        bounds = (beginning, beginning + "g")  # after every hexadecimal digit
        runs = self._select("SELECT run_id FROM runs WHERE run_id >= ? AND run_id < ? LIMIT ?", *bounds, limit)
        traces = self._select(
            "SELECT DISTINCT trace_id FROM spans WHERE trace_id >= ? AND trace_id < ? LIMIT ?", *bounds, limit
        )
        return tuple(sorted({row[0] for row in (*runs, *traces)}))

    def _latest(self, limit: int) -> list[str]:
        """The ids of the traces whose spans ended last; no more of the table is read than that takes."""
        found: dict[str, None] = {}
        with self._lock:
            for (trace_id,) in self._open().execute("SELECT trace_id FROM spans ORDER BY ended DESC"):
                found[trace_id] = None
                if len(found) >= limit:
                    break
        return list(found)

    def _summary(self, trace_id: str) -> TraceSummary | None:
        """None where the host has dropped it since: it writes while others read."""
        name, start, end, count, errors = self._select(_SELECT_SUMMARY, trace_id, trace_id)[0]
        return TraceSummary(trace_id, name, start, end - start, count, errors) if count else None

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            raise ValueError(f"The trace store {self._path} is closed.")
        return self._database

    def _select(self, query: str, *parameters: Any) -> list[Any]:
        with self._lock:
            return self._open().execute(query, parameters).fetchall()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<TraceReader [{'closed' if self._database is None else 'open'}, {self._path}]>"


_SELECT_SPAN = "SELECT trace_id, span_id, parent_id, name, started, ended, status, attributes, message FROM spans"
_SELECT_SUMMARY = """
WITH root AS (SELECT name, started FROM spans WHERE trace_id = ? ORDER BY parent_id IS NOT NULL, started LIMIT 1)
SELECT root.name, root.started, max(ended), count(*), sum(status = 'error') FROM root JOIN spans ON trace_id = ?
"""
_SELECT_RUN_SPANS = """
WITH RECURSIVE inside (trace_id, span_id) AS (
    SELECT trace_id, span_id FROM events WHERE run_id = ? AND name = 'run.start' AND trace_id IS NOT NULL
    UNION
    SELECT spans.trace_id, spans.span_id FROM spans JOIN inside
        ON spans.trace_id = inside.trace_id AND spans.parent_id = inside.span_id
)
SELECT trace_id, span_id, parent_id, name, started, ended, status, attributes, message
FROM spans JOIN inside USING (trace_id, span_id) ORDER BY started LIMIT ?
"""
_SELECT_RUN = "SELECT run_id, pipeline, status, started_at, duration_s, trace_id, attributes FROM runs"


def _span_of(row: Any) -> Span:
    trace, span, parent, name, start, end, status, attributes, message = row
    return Span(trace, span, parent, name, start, end, status, msgspec.json.decode(attributes), message)


def _run_of(row: Any) -> RunRecord:
    run_id, pipeline, status, started_at, duration_s, trace_id, attributes = row
    return RunRecord(run_id, pipeline, status, started_at, duration_s, trace_id, msgspec.json.decode(attributes))
