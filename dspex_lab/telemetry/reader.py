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

__all__ = ["RunRecord", "TraceReader", "TraceSummary"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a pipeline; ``started_at`` in epoch seconds. "running" also means: its end was never told."""

    run_id: str
    pipeline: str
    status: str
    started_at: float
    duration_s: float | None
    trace_id: str | None
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One trace as a line in a list: its root span's name, start (epoch seconds) and length, and what is in it."""

    trace_id: str
    name: str
    start: float
    duration_s: float
    spans: int
    errors: int


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

    def spans(self, trace_id: str) -> tuple[Span, ...]:
        """The spans of one trace, by their start."""
        rows = self._select(
            "SELECT trace_id, span_id, parent_id, name, started, ended, status, attributes, message FROM spans"
            " WHERE trace_id = ? ORDER BY started, rowid",
            trace_id,
        )
        return tuple(
            Span(trace, span, parent, name, start, end, status, msgspec.json.decode(attributes), message)
            for trace, span, parent, name, start, end, status, attributes, message in rows
        )

    def traces(self, limit: int = 100) -> tuple[TraceSummary, ...]:
        """The latest traces, newest first. The root is the earliest span of its trace."""
        rows = self._select(
            "SELECT trace_id, name, min(started), max(ended), count(*), sum(status = 'error') FROM spans"
            " GROUP BY trace_id ORDER BY min(started) DESC LIMIT ?",
            limit,
        )
        return tuple(
            TraceSummary(trace_id, name, start, end - start, count, errors)
            for trace_id, name, start, end, count, errors in rows
        )

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


_SELECT_RUN = "SELECT run_id, pipeline, status, started_at, duration_s, trace_id, attributes FROM runs"


def _run_of(row: Any) -> RunRecord:
    run_id, pipeline, status, started_at, duration_s, trace_id, attributes = row
    return RunRecord(run_id, pipeline, status, started_at, duration_s, trace_id, msgspec.json.decode(attributes))
