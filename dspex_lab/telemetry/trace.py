"""A trace as a value: its spans in the order of their tree, its figures, and its forms as table and text.

Knows nothing of where it was found. pandas is imported when a table is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dspex_lab.calls import Usage
from dspex_lab.telemetry import attributes as names
from dspex_lab.telemetry.export.otlp import OtlpTarget
from dspex_lab.telemetry.export.perfetto import write_perfetto
from dspex_lab.telemetry.spans import Span, SpanStatus
from dspex_lab.telemetry.trace_text import render_trace_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Trace", "TraceSummary", "in_tree_order"]


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """One trace as a line in a list: its root span's name, start (epoch seconds) and length, and what is in it."""

    trace_id: str
    name: str
    start: float
    duration_s: float
    spans: int
    errors: int


@dataclass(frozen=True)  # with no slots: its order is worked out once
class Trace:
    """Everything that is known of one trace, or of one run in it. ``spans`` stand in tree order, parents first."""

    trace_id: str
    rows: tuple[tuple[int, Span], ...]

    @classmethod
    def of(cls, spans: Iterable[Span]) -> Trace:
        """The trace that ``spans`` are; one at least."""
        rows = in_tree_order(spans)
        return cls(rows[0][1].trace_id, rows)

    @property
    def spans(self) -> tuple[Span, ...]:
        return tuple(span for _, span in self.rows)

    @property
    def name(self) -> str:
        """That of the first span."""
        return self.rows[0][1].name

    @property
    def status(self) -> SpanStatus:
        """How its first span ended."""
        return self.rows[0][1].status

    @cached_property
    def start(self) -> float:
        """Epoch seconds."""
        return min(span.start for span in self.spans)

    @cached_property
    def duration_s(self) -> float:
        return max(span.end for span in self.spans) - self.start

    @cached_property
    def usage(self) -> Usage:
        """What the attempts at language models say that they used; what is around them counts nothing twice."""
        used = Usage()
        for span in self.spans:
            if span.attributes.get(names.KIND) == "lm":
                get = span.attributes.get
                tokens = int(get(names.INPUT_TOKENS) or 0), int(get(names.OUTPUT_TOKENS) or 0)
                used = used + Usage(*tokens, get(names.COST_USD), 1)
        return used

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each span: name, kind, depth, start (of the trace, in seconds), duration, status, tokens, cost,
        model, pool, worker, error and ids; everything else is in ``attributes``."""
        import pandas as pd

        return pd.DataFrame([self._row(depth, span) for depth, span in self.rows])

    def _row(self, depth: int, span: Span) -> dict[str, object]:
        get = span.attributes.get
        return {
            "name": span.name,
            "kind": get(names.KIND, "other"),
            "depth": depth,
            "start_s": span.start - self.start,
            "duration_s": span.duration_s,
            "status": span.status,
            "input_tokens": get(names.INPUT_TOKENS),
            "output_tokens": get(names.OUTPUT_TOKENS),
            "cost": get(names.COST_USD),
            "model": get(names.REQUEST_MODEL),
            "pool": get(names.POOL),
            "worker": get(names.WORKER),
            "error": span.message or get(names.ERROR_TYPE),
            "span_id": span.span_id,
            "parent_id": span.parent_id,
            "attributes": dict(span.attributes),
        }

    def to_perfetto(self, path: Path | str) -> Path:
        """Write it as JSON for ui.perfetto.dev and chrome://tracing; the file's path."""
        return write_perfetto(self.rows, path)

    def to_otlp(self, endpoint: str, *, headers: Mapping[str, str] | None = None, timeout_s: float = 10.0) -> int:
        """Send it to a receiver of OpenTelemetry's protocol over HTTP (``http://localhost:4318``); how many spans it
        took. Raises ``ConfigurationError`` when it takes none, or ``dspex-lab[otlp]`` is not installed."""
        return OtlpTarget(endpoint, dict(headers or {}), timeout_s).send(self.spans)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return render_trace_text(self.trace_id, self.rows, self.usage)


def in_tree_order(spans: Iterable[Span]) -> tuple[tuple[int, Span], ...]:
    """The spans with their depth: each after its parent, brothers by their start. One whose parent is not among them
    stands at the top, and each is there once, whatever the ids say."""
    known = {span.span_id: span for span in spans}
    below: dict[str | None, list[Span]] = {}
    for span in sorted(known.values(), key=lambda one: (one.start, -one.end), reverse=True):
        below.setdefault(span.parent_id if span.parent_id in known else None, []).append(span)
    rows: list[tuple[int, Span]] = []
    waiting = [(0, span) for span in below.pop(None, [])]
    while waiting:
        depth, span = waiting.pop()
        rows.append((depth, span))
        waiting += [(depth + 1, child) for child in below.pop(span.span_id, [])]
    # Spans that are one another's parents: nobody else leads to them.
    rows += [(0, span) for children in below.values() for span in children]
    return tuple(rows)
