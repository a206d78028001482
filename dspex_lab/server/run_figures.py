"""The latest runs of all notebooks as the metrics compare them: what each step took, out of the events of the runs.

Runs that are over are read once. Knows the trace store, and nothing of routes.
"""

from __future__ import annotations

from typing import Any

from dspex_lab.telemetry import RunRecord, TraceReader
from dspex_lab.telemetry.run_view import RunView
from dspex_lab.telemetry.run_view.formats import error_title
from dspex_lab.widgets.metrics_state import run_message

__all__ = ["RunFigures", "view_of"]


def view_of(reader: TraceReader, run_id: str) -> RunView:
    """The run as panels see it: all of its events so far."""
    view = RunView()
    for event in reader.events(run_id):
        view = view.apply(event)
    return view


class RunFigures:
    """Remembers the figures of the runs that are over, as long as they are among the latest."""

    def __init__(self) -> None:
        self._over: dict[tuple[str, float], dict[str, Any]] = {}

    def read(self, reader: TraceReader, limit: int) -> list[dict[str, Any]]:
        """The latest runs, newest first."""
        known, self._over = self._over, {}
        return [self._figures(reader, record, known) for record in reader.runs(limit)]

    def _figures(
        self, reader: TraceReader, record: RunRecord, known: dict[tuple[str, float], dict[str, Any]]
    ) -> dict[str, Any]:
        # One that goes on has its id again, and another beginning.
        key = (record.run_id, record.started_at)
        found = known.get(key) or _read(reader, record)
        if not record.is_under_way:
            self._over[key] = found
        return found


def _read(reader: TraceReader, record: RunRecord) -> dict[str, Any]:
    view = view_of(reader, record.run_id)
    # What stands around others took what those took.
    around = {step.parent for step in view.steps}
    error = record.attributes.get("error")
    return run_message(
        record.run_id,
        record.pipeline,
        record.status,
        started_at=record.started_at,
        duration_s=record.duration_s,
        steps=[(one.name, one) for one in view.steps if one.name not in around and one.duration_s is not None],
        error=error_title(error) if error else "",
    )
