"""Where a notebook finds traces: in the host's store, and among what its own runs told and no host has heard yet.

Reads only, and starts nothing. pandas is imported when a table is asked for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dspex_lab.errors import ConfigurationError
from dspex_lab.telemetry import attributes as names
from dspex_lab.telemetry.reader import TraceReader
from dspex_lab.telemetry.spans import Span
from dspex_lab.telemetry.trace import Trace, TraceSummary, in_tree_order

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TraceLibrary"]

T = TypeVar("T")


class TraceLibrary:
    """The traces in the file ``path``, if there is one, and those of ``untold()``."""

    def __init__(self, path: Path, untold: Callable[[], list[Span]] = list) -> None:
        self._path = path
        self._untold = untold

    def summaries(self, limit: int = 100) -> list[TraceSummary]:
        """The latest traces, newest first."""
        stored = self._read(lambda reader: reader.traces(limit))
        own = _summaries(self._untold())
        found = {one.trace_id: one for one in stored}
        # A trace of which a part is told and a part is not is shown once.
        found |= {one.trace_id: _joined(found.get(one.trace_id), one) for one in own}
        return sorted(found.values(), key=lambda one: one.start, reverse=True)[:limit]

    def table(self, limit: int = 100) -> pd.DataFrame:
        """The same as a table: trace, name, started, duration_s, spans, errors."""
        import pandas as pd

        rows = [
            {
                "trace": one.trace_id,
                "name": one.name,
                "started": pd.Timestamp(one.start, unit="s", tz="UTC"),
                "duration_s": one.duration_s,
                "spans": one.spans,
                "errors": one.errors,
            }
            for one in self.summaries(limit)
        ]
        return pd.DataFrame(rows, columns=["trace", "name", "started", "duration_s", "spans", "errors"])

    def find(self, wanted: str | None = None) -> Trace:
        """The trace, or the run in one, whose id is or begins with ``wanted``; None: the latest. Raises
        ``ConfigurationError`` where there is none, and where there are several."""
        if wanted is None:
            return self.find(self._latest())
        if not isinstance(wanted, str):
            raise ConfigurationError(
                f"A trace is found by its id, not by a {type(wanted).__name__}.",
                "trace",
                "the id of a trace or of a run",
                type(wanted).__name__,
                hint="A run has one: lab.trace(run.id)." if hasattr(wanted, "id") else "lab.traces() lists them.",
            )
        untold = self._untold()
        known = self._read(lambda reader: reader.ids(wanted))
        own = {span.trace_id for span in untold} | {run_id for span in untold if (run_id := _run_of(span))}
        ids = sorted({*known, *(one for one in own if one.startswith(wanted))}) if wanted else []
        if wanted in ids:
            ids = [wanted]
        if len(ids) > 1:
            raise ConfigurationError(
                f"Several traces begin with {wanted!r}.", "trace", ", ".join(ids[:5]), wanted, hint="Write more of it."
            )
        spans = self._spans(ids[0], untold) if ids else []
        if not spans:
            raise ConfigurationError(
                f"There is no trace {wanted!r}.",
                "trace",
                "the id of a trace or of a run",
                wanted,
                hint="lab.traces() lists those that there are; a run's is there once one of its steps has ended.",
            )
        return Trace.of(spans)

    def _latest(self) -> str:
        for one in self.summaries(1):
            return one.trace_id
        raise ConfigurationError(
            "Nothing was traced yet.", "trace", hint="Every run of a program or a pipeline is; lab.traces() lists them."
        )

    def _spans(self, found: str, untold: list[Span]) -> list[Span]:
        stored = self._read(lambda reader: reader.spans(found) or reader.run_spans(found))
        own = [span for span in untold if span.trace_id == found] or _below_run(found, untold)
        return list({span.span_id: span for span in (*stored, *own)}.values())

    def _read(self, ask: Callable[[TraceReader], tuple[T, ...]]) -> tuple[T, ...]:
        """What the store says; nothing where no host has written one, or it cannot be read."""
        try:
            with TraceReader(self._path) as reader:
                return ask(reader)
        except (FileNotFoundError, sqlite3.Error):
            return ()


def _run_of(span: Span) -> str | None:
    return span.attributes.get(names.RUN_ID) if span.attributes.get(names.KIND) == "run" else None


def _below_run(run_id: str, spans: Iterable[Span]) -> list[Span]:
    """The spans of a run, and what hangs below them."""
    found: list[Span] = []
    inside: set[str] = set()
    for _, span in in_tree_order(spans):
        if span.attributes.get(names.RUN_ID) == run_id or span.parent_id in inside:
            inside.add(span.span_id)
            found.append(span)
    return found


def _summaries(spans: Iterable[Span]) -> list[TraceSummary]:
    by_trace: dict[str, list[Span]] = {}
    for span in spans:
        by_trace.setdefault(span.trace_id, []).append(span)
    return [_summary(trace_id, these) for trace_id, these in by_trace.items()]


def _summary(trace_id: str, spans: list[Span]) -> TraceSummary:
    root = in_tree_order(spans)[0][1]
    end = max(span.end for span in spans)
    errors = sum(span.status == "error" for span in spans)
    return TraceSummary(trace_id, root.name, root.start, end - root.start, len(spans), errors)


def _joined(stored: TraceSummary | None, own: TraceSummary) -> TraceSummary:
    if stored is None:
        return own
    start = min(stored.start, own.start)
    end = max(stored.start + stored.duration_s, own.start + own.duration_s)
    name = stored.name if stored.start <= own.start else own.name
    return TraceSummary(
        own.trace_id, name, start, end - start, max(stored.spans, own.spans), max(stored.errors, own.errors)
    )
