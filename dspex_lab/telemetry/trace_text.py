"""A trace as text: a waterfall for terminals, one line for each span."""

from __future__ import annotations

from collections.abc import Sequence

from dspex_lab.calls import Usage
from dspex_lab.telemetry import attributes as names
from dspex_lab.telemetry.run_view.formats import seconds, shorten
from dspex_lab.telemetry.spans import Span

__all__ = ["render_trace_text"]

_BAR = 30
_MAX_NAME = 56
_MAX_LINES = 200
_MARKS = {"ok": "█", "error": "▓", "cancelled": "▒"}


def render_trace_text(trace_id: str, rows: Sequence[tuple[int, Span]], usage: Usage) -> str:
    """A headline, and a line for each of ``rows``: its place in the tree, its time, and a bar on the trace's own."""
    start = min(span.start for _, span in rows)
    total_s = max(span.end for _, span in rows) - start
    shown = rows[:_MAX_LINES]
    titles = ["  " * depth + span.name for depth, span in shown]
    width = min(_MAX_NAME, max(map(len, titles)))
    took = [seconds(span.duration_s) for _, span in shown]
    took_width = max(map(len, took))
    lines = [_headline(trace_id, rows, total_s, usage)]
    for title, time, (_, span) in zip(titles, took, shown, strict=True):
        name = shorten(title, width)
        bar = _bar(span.start - start, span.duration_s, total_s, _MARKS[span.status])
        lines.append(f"  {name:<{width}}  {time:>{took_width}}  {bar}  {_notes(span)}".rstrip())
    if len(rows) > _MAX_LINES:
        lines.append(f"  … and {len(rows) - _MAX_LINES} more spans")
    return "\n".join(lines)


def _headline(trace_id: str, rows: Sequence[tuple[int, Span]], total_s: float, usage: Usage) -> str:
    spans = "1 span" if len(rows) == 1 else f"{len(rows)} spans"
    parts = [shorten(rows[0][1].name, _MAX_NAME), rows[0][1].status, seconds(total_s), spans]
    if usage.lm_calls:
        parts.append(f"{usage.input_tokens} tokens read, {usage.output_tokens} written")
    if usage.cost is not None:
        parts.append(f"${usage.cost:.4g}")
    return f"Trace {trace_id[:8]}: {', '.join(parts)}"


def _bar(begun_s: float, took_s: float, total_s: float, mark: str) -> str:
    scale = _BAR / total_s if total_s > 0 else 0.0
    first = min(_BAR - 1, int(begun_s * scale))
    last = min(_BAR, max(first + 1, round((begun_s + took_s) * scale)))
    return "·" * first + mark * (last - first) + "·" * (_BAR - last)


def _notes(span: Span) -> str:
    get = span.attributes.get
    parts: list[str] = []
    if span.status != "ok":
        parts.append(str(get(names.ERROR_TYPE) or span.status))
    if get(names.KIND) == "cell" and (text := get(names.CELL_TEXT)):
        parts.append(str(text))
    if get(names.KIND) in ("step", "native") and (route := get(names.ROUTE)) and route != "native":
        parts.append(f"{route} → {get(names.POOL)}")
    if get(names.KIND) == "call" and (worker := get(names.WORKER)):
        parts.append(str(worker))
    if get(names.KIND) == "lm":
        parts.append(f"{get(names.INPUT_TOKENS) or 0} → {get(names.OUTPUT_TOKENS) or 0} tokens")
    if get(names.CACHE_HIT):
        parts.append("cached")
    return ", ".join(parts)
