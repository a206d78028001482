"""The store of runs, events and spans: one SQLite file (WAL), kept by the pool host, bounded by age and size.

Everything is written in transactions, so a killed process loses the batch it was writing and nothing else. The store
filters secrets once more, so that nothing else has to be trusted. It knows nothing of who writes or asks; it blocks,
so an event loop calls it from a thread. Safe from any thread.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dspex_lab.clock import Clock, SystemClock
from dspex_lab.telemetry.attributes import clean_attributes
from dspex_lab.telemetry.database import SCHEMA_VERSION, open_database, used_bytes
from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.reader import TraceReader
from dspex_lab.telemetry.spans import Span

__all__ = ["TraceStore", "TraceStoreStatistics"]

log = logging.getLogger(__name__)

_DAY_S = 86_400.0
_MB = 1_048_576
#: Old rows are looked for when so much time has gone by since the last look.
_PRUNE_EVERY_S = 600.0
#: Too large: prune down to this part of the limit, so that the next batches need no pruning.
_PRUNE_TO = 0.8
#: Tokens live in panels; what they add up to is in the step's own event. Storing each would be most of the file.
_NOT_STORED = frozenset({"token"})
#: What a run is told apart by; everything else of ``run.start`` and ``run.end`` is in its attributes.
_STATUS_KEYS = ("run_id", "pipeline", "status", "duration_s")


@dataclass(frozen=True, slots=True)
class TraceStoreStatistics:
    """What the store holds, and what it did since it was opened."""

    runs: int
    events: int
    spans: int
    size_bytes: int
    max_size_bytes: int
    appended: int
    pruned: int


class TraceStore(TraceReader):
    """Runs, events and spans on disk. Close it, or use it with ``with``."""

    def __init__(
        self,
        path: Path,
        max_age_days: float = 14.0,
        max_size_mb: float = 256.0,
        *,
        record_prompts: bool = True,
        clock: Clock | None = None,
    ) -> None:
        """Open the file, or make it (mode 0600). One that is damaged, or of another version, is set aside."""
        self._path = path
        self._max_age_s = max_age_days * _DAY_S
        self._max_bytes = int(max_size_mb * _MB)
        self._record_prompts = record_prompts
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._database: sqlite3.Connection | None = open_database(path)
        self._appended = 0
        self._pruned = 0
        self._last_prune = 0.0
        self.prune()

    def append(self, events: Iterable[Event] = (), spans: Iterable[Span] = ()) -> None:
        """Write a batch in one transaction: all of it or nothing. A span that is there already is replaced.

        A ``run.start`` makes a run, a ``run.end`` ends it, and between these a run waits while what it asks is open;
        ``token`` events are left out. Raises ``sqlite3.Error``
        when the disk does.
        """
        event_rows = [self._event_row(event) for event in events if event.name not in _NOT_STORED]
        span_rows = [self._span_row(span) for span in spans]
        with self._lock:
            with self._open() as database:
                database.executemany(_INSERT_EVENT, event_rows)
                database.executemany(_INSERT_SPAN, span_rows)
                for row in event_rows:
                    _record_run(database, row)
            self._appended += len(event_rows) + len(span_rows)
            is_due = self._clock.now() - self._last_prune >= _PRUNE_EVERY_S
            if is_due or used_bytes(self._open()) > self._max_bytes:
                self.prune()

    def prune(self) -> int:
        """Drop what is too old, then the oldest of what is too much; the number of rows dropped."""
        with self._lock:
            database = self._open()
            now = self._clock.now()
            self._last_prune = now
            with database:
                dropped = _drop_before(database, now - self._max_age_s)
            if used_bytes(database) > self._max_bytes:
                dropped += self._prune_to_size(database)
            if dropped:
                database.execute("PRAGMA incremental_vacuum").fetchall()
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._pruned += dropped
            return dropped

    def statistics(self) -> TraceStoreStatistics:
        with self._lock:
            database = self._open()
            runs, events, spans = (
                database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - our own three names
                for table in ("runs", "events", "spans")
            )
            size = used_bytes(database)
            return TraceStoreStatistics(runs, events, spans, size, self._max_bytes, self._appended, self._pruned)

    def _prune_to_size(self, database: sqlite3.Connection) -> int:
        dropped = 0
        while used_bytes(database) > self._max_bytes * _PRUNE_TO:
            with database:
                step = _drop_oldest_tenth(database)
            if not step:
                break
            dropped += step
        return dropped

    def _event_row(self, event: Event) -> tuple[Any, ...]:
        trace = event.trace
        run_id = event.attributes.get("run_id")
        return (
            None if run_id is None else str(run_id),
            event.name,
            event.time,
            trace.trace_id if trace else None,
            trace.span_id if trace else None,
            self._encode(event.attributes),
        )

    def _span_row(self, span: Span) -> tuple[Any, ...]:
        where = (span.trace_id, span.span_id, span.parent_id, span.name, span.start, span.end, span.status)
        return (*where, self._encode(span.attributes), span.message if self._record_prompts else "")

    def _encode(self, attributes: Mapping[str, Any]) -> bytes:
        return msgspec.json.encode(clean_attributes(attributes, record_prompts=self._record_prompts))

    def __repr__(self) -> str:
        if self._database is None:
            return "<TraceStore [closed]>"
        now = self.statistics()
        size = f"{now.size_bytes / _MB:.1f}/{now.max_size_bytes / _MB:g} MB"
        return f"<TraceStore [v{SCHEMA_VERSION}, runs: {now.runs}, events: {now.events}, spans: {now.spans}, {size}]>"


_INSERT_EVENT = "INSERT INTO events (run_id, name, time, trace_id, span_id, attributes) VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_SPAN = (
    "INSERT OR REPLACE INTO spans (trace_id, span_id, parent_id, name, started, ended, status, attributes, message)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


#: A run under way waits while it has asked more, since it was begun last, than was answered.
_QUESTIONS = ("run.question", "run.answer")
_WAIT_OR_GO_ON = """
UPDATE runs SET status = (
    SELECT iif(sum(iif(name = 'run.question', 1, -1)) > 0, 'waiting', 'running') FROM events
    WHERE run_id = :run AND name IN ('run.question', 'run.answer') AND rowid > coalesce(
        (SELECT max(rowid) FROM events WHERE run_id = :run AND name = 'run.start'), 0)
) WHERE run_id = :run AND status IN ('running', 'waiting')
"""


def _record_run(database: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    """Make or end the run that an event row speaks of, or have it wait or go on."""
    run_id, name, time, trace_id, _, encoded = row
    if run_id is not None and name in _QUESTIONS:
        database.execute(_WAIT_OR_GO_ON, {"run": run_id})
    if run_id is None or name not in ("run.start", "run.end"):
        return
    found = database.execute("SELECT attributes, started_at FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    told = msgspec.json.decode(encoded)
    known: dict[str, Any] = msgspec.json.decode(found[0]) if found else {}
    known.update({key: value for key, value in told.items() if key not in _STATUS_KEYS})
    status = "running" if name == "run.start" else str(told.get("status", "succeeded"))
    duration_s = told.get("duration_s")
    started_at = time if name == "run.start" else (found[1] if found else time - (duration_s or 0.0))
    database.execute(
        "INSERT INTO runs (run_id, pipeline, status, started_at, duration_s, trace_id, attributes)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE SET status = excluded.status,"
        " pipeline = coalesce(nullif(excluded.pipeline, ''), pipeline), started_at = excluded.started_at,"
        " duration_s = excluded.duration_s, trace_id = coalesce(excluded.trace_id, trace_id),"
        " attributes = excluded.attributes",
        (run_id, str(told.get("pipeline") or ""), status, started_at, duration_s, trace_id, msgspec.json.encode(known)),
    )


def _drop_before(database: sqlite3.Connection, time: float) -> int:
    return sum(
        database.execute(f"DELETE FROM {table} WHERE {column} < ?", (time,)).rowcount  # noqa: S608 - our own names
        for table, column in (("runs", "started_at"), ("events", "time"), ("spans", "ended"))
    )


def _drop_oldest_tenth(database: sqlite3.Connection) -> int:
    """Drop the oldest tenth of every table, so that what is left covers about the same time in all."""
    dropped = 0
    for table, column in (("events", "time"), ("spans", "ended"), ("runs", "started_at")):
        dropped += database.execute(
            f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} ORDER BY {column}"  # noqa: S608 - our names
            f" LIMIT (SELECT (count(*) + 9) / 10 FROM {table}))"
        ).rowcount
    return dropped
