"""A trace as JSON for Perfetto and Chrome's tracing page: complete events in lanes, by the process that did the work.

Pure but for :func:`write_perfetto`. Knows nothing of where spans come from.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dspex_lab.telemetry import attributes as names
from dspex_lab.telemetry.spans import Span

__all__ = ["perfetto_events", "write_perfetto"]

_HOST = "pool host"
_NOTEBOOK = "notebook"


def write_perfetto(rows: Sequence[tuple[int, Span]], path: Path | str) -> Path:
    """Write the file, for ui.perfetto.dev or chrome://tracing; its path."""
    found = Path(path)
    told = {"traceEvents": perfetto_events(rows), "displayTimeUnit": "ms"}
    found.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    return found


def perfetto_events(rows: Sequence[tuple[int, Span]]) -> list[dict[str, Any]]:
    """The events of spans in tree order; times are microseconds since the trace's start. Secrets are taken out once
    more."""
    start = min((span.start for _, span in rows), default=0.0)
    places = _places(rows)
    processes = {name: number for number, name in enumerate(dict.fromkeys(places.values()), 1)}
    lanes = _lanes([span for _, span in rows], places)
    events: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": number, "tid": 0, "args": {"name": name}}
        for name, number in processes.items()
    ]
    for _, one in rows:
        span = one.cleaned()
        outcome = {"status": span.status} | ({"message": span.message} if span.message else {})
        events.append(
            {
                "name": span.name,
                "cat": str(span.attributes.get(names.KIND, "other")),
                "ph": "X",
                "ts": round((span.start - start) * 1e6, 3),
                "dur": round(span.duration_s * 1e6, 3),
                "pid": processes[places[span.span_id]],
                "tid": lanes[span.span_id],
                "args": {**span.attributes, **outcome, "span_id": span.span_id, "parent_id": span.parent_id},
            }
        )
    return events


def _places(rows: Sequence[tuple[int, Span]]) -> dict[str, str]:
    """Where each span's work was done: calls and their waits in the host, what is below a call in its worker."""
    places: dict[str, str] = {}
    inside: dict[str, str] = {}
    for _, span in rows:
        kind = span.attributes.get(names.KIND)
        around = inside.get(span.parent_id or "", _NOTEBOOK)
        places[span.span_id] = _HOST if kind in ("call", "queue") else around
        inside[span.span_id] = str(span.attributes.get(names.WORKER) or around) if kind == "call" else around
    return places


def _lanes(spans: Sequence[Span], places: dict[str, str]) -> dict[str, int]:
    """A lane for each span: within one, spans lie in one another or beside one another, as viewers want it."""
    open_in: dict[str, list[list[Span]]] = {}
    found: dict[str, int] = {}
    for span in sorted(spans, key=lambda one: (one.start, -one.end)):
        lanes = open_in.setdefault(places[span.span_id], [])
        for lane in lanes:
            while lane and lane[-1].end <= span.start:
                lane.pop()
        fitting = [number for number, lane in enumerate(lanes) if not lane or lane[-1].end >= span.end]
        own = [number for number in fitting if lanes[number] and lanes[number][-1].span_id == span.parent_id]
        number = next(iter(own or fitting), len(lanes))
        if number == len(lanes):
            lanes.append([])
        lanes[number].append(span)
        found[span.span_id] = number + 1
    return found
