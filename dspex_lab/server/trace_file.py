"""The trace store as the server reads it: runs and traces of all notebooks as plain data, with or without a host.

Reads in threads, so that the server's event loop never waits for a disk. Writes nothing.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from dspex_lab.clock import Clock
from dspex_lab.server.run_figures import RunFigures, view_of
from dspex_lab.telemetry import RunRecord, TraceReader, TraceSummary
from dspex_lab.telemetry.run_view import RunView, StepView
from dspex_lab.telemetry.run_view.formats import error_title
from dspex_lab.widgets.panel_state import state_message
from dspex_lab.widgets.trace_state import span_attributes, trace_message

__all__ = ["TraceFile", "run_row", "trace_row"]

T = TypeVar("T")


class TraceFile:
    """Opens the file when there is one, and again when it was set aside for a new one."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._reader: TraceReader | None = None
        self._inode = -1
        self._figures = RunFigures()

    async def runs(self, limit: int) -> list[dict[str, Any]]:
        """The latest runs, newest first."""
        return await self._read(lambda reader: [run_row(one) for one in reader.runs(limit)], [])

    async def run(self, run_id: str, *, has_notebook: bool = False) -> dict[str, Any] | None:
        """One run with the state that its view shows; None when there is none of that id. The notebook that has it can
        run its steps again."""
        return await self._read(lambda reader: self._run(reader, run_id, has_notebook=has_notebook), None)

    async def figures(self, limit: int) -> list[dict[str, Any]]:
        """The latest runs with what their steps took, newest first, to be compared."""
        return await self._read(lambda reader: self._figures.read(reader, limit), [])

    async def traces(self, limit: int) -> list[dict[str, Any]]:
        """The latest traces, newest first."""
        return await self._read(lambda reader: [trace_row(one) for one in reader.traces(limit)], [])

    async def trace(self, trace_id: str) -> dict[str, Any] | None:
        """One trace as its waterfall shows it; None when there is none of that id."""
        return await self._read(lambda reader: self._trace(reader, trace_id), None)

    async def span(self, trace_id: str, span_id: str) -> dict[str, Any] | None:
        """All attributes of one span, of which its trace may tell but the beginnings; None when there is none."""
        return await self._read(lambda reader: _attributes(reader, trace_id, span_id), None)

    def _run(self, reader: TraceReader, run_id: str, *, has_notebook: bool) -> dict[str, Any] | None:
        record = reader.run(run_id)
        if record is None:
            return None
        view = view_of(reader, run_id)
        repeatable = _repeatable(view) if has_notebook else ()
        state = state_message(view, now=self._clock.now(), can_cancel=not view.is_over, repeatable=repeatable)
        return {**run_row(record), "state": state}

    def _trace(self, reader: TraceReader, trace_id: str) -> dict[str, Any] | None:
        spans = reader.spans(trace_id)
        if not spans:
            return None
        run = reader.run(trace_id)
        return trace_message(spans, now=self._clock.now(), is_running=run is not None and run.is_under_way)

    async def _read(self, ask: Callable[[TraceReader], T], otherwise: T) -> T:
        return await asyncio.to_thread(self._ask, ask, otherwise)

    def _ask(self, ask: Callable[[TraceReader], T], otherwise: T) -> T:
        with self._lock:
            try:
                return ask(self._open())
            except FileNotFoundError:
                return otherwise
            except sqlite3.Error:
                self._close()  # the next question begins anew
                raise

    def _open(self) -> TraceReader:
        inode = self._path.stat().st_ino
        if self._reader is None or inode != self._inode:
            self._close()
            self._reader, self._inode = TraceReader(self._path), inode
        return self._reader

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    async def aclose(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._close()


def _attributes(reader: TraceReader, trace_id: str, span_id: str) -> dict[str, Any] | None:
    return next((span_attributes(one) for one in reader.spans(trace_id) if one.span_id == span_id), None)


def _repeatable(view: RunView) -> set[str]:
    """The steps from which a run can be run again: all but the parts of an ``each``, whose items are not known."""
    steps = {step.name: step for step in view.steps}

    def is_part(step: StepView) -> bool:
        around = steps.get(step.parent or "")
        return around is not None and (around.kind == "each" or is_part(around))

    return {step.name for step in view.steps if not is_part(step)}


def run_row(run: RunRecord) -> dict[str, Any]:
    """A run as a line in a list."""
    error = run.attributes.get("error")
    return {
        "run_id": run.run_id,
        "pipeline": run.pipeline,
        "status": run.status,
        "started_at": run.started_at,
        "duration_s": run.duration_s,
        "trace_id": run.trace_id or run.run_id,
        "error": error_title(error) if error else "",
    }


def trace_row(trace: TraceSummary) -> dict[str, Any]:
    """A trace as a line in a list."""
    return {
        "trace_id": trace.trace_id,
        "name": trace.name,
        "start": trace.start,
        "duration_s": trace.duration_s,
        "spans": trace.spans,
        "errors": trace.errors,
    }
