"""What the waterfall's front end is told of a trace, as plain data; ``static/trace_view.js`` names the same fields.

Pure: spans in, data out. Times are seconds since the trace's start, so that no two clocks need agree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dspex_lab.telemetry import attributes as names
from dspex_lab.telemetry.run_view.formats import shorten
from dspex_lab.telemetry.spans import Span
from dspex_lab.telemetry.trace import in_tree_order

__all__ = ["KINDS", "span_attributes", "span_kind", "trace_message"]

KINDS = ("cell", "run", "step", "call", "queue", "module", "lm", "tool", "native", "other")

#: What all texts of a trace may take in one message, and what one of them may, however many there are.
_MAX_CHARS = 4_000_000
_MAX_VALUE_CHARS = 20_000
_MIN_VALUE_CHARS = 200

_OPERATIONS: Mapping[str, str] = {
    "chat": "lm",
    "text_completion": "lm",
    "embeddings": "lm",
    "generate_content": "lm",
    "execute_tool": "tool",
    "invoke_agent": "module",
}


def span_kind(span: Span) -> str:
    """What a span is, of :data:`KINDS`: as it says itself, else by its operation and its other attributes."""
    told = span.attributes.get(names.KIND)
    if told in KINDS:
        return str(told)
    operation = str(span.attributes.get(names.OPERATION_NAME, ""))
    if operation in _OPERATIONS:
        return _OPERATIONS[operation]
    if span.name.startswith("pool "):
        return "call"
    if span.attributes.get(names.STEP) is not None:
        return "step"
    if span.attributes.get(names.RUN_ID) is not None:
        return "run"
    if span.attributes.get(names.ROUTE) == "native":
        return "native"
    return "other"


def trace_message(spans: Sequence[Span], *, now: float, is_running: bool = False) -> dict[str, Any]:
    """The trace of ``spans`` in tree order, parents before children, siblings by their start.

    A span whose parent is not there stands at the root. Long texts are cut, the more the more spans there are; such a
    span says ``is_cut``, and :func:`span_attributes` has all of it. ``now`` in epoch seconds: what a trace that still
    runs has taken until then.
    """
    ordered = [span for _, span in in_tree_order(spans)]
    start = min((span.start for span in spans), default=now)
    end = max((span.end for span in spans), default=start)
    known = {span.span_id for span in spans}
    roots = [span for span in ordered if span.parent_id not in known]
    limit = min(_MAX_VALUE_CHARS, max(_MIN_VALUE_CHARS, _MAX_CHARS // max(1, 4 * len(ordered))))
    return {
        "trace_id": ordered[0].trace_id if ordered else "",
        "name": _name_of(roots),
        "status": "running" if is_running else _status_of(roots),
        "started_at": start,
        "duration_s": max(now, end) - start if is_running else end - start,
        "spans": [_span(span, known, start, limit) for span in ordered],
    }


def span_attributes(span: Span, *, limit: int = _MAX_VALUE_CHARS * 50) -> dict[str, Any]:
    """A span's attributes as the front end shows them: text as it is, numbers, the rest as JSON."""
    return {name: _shown(value, limit) for name, value in span.attributes.items() if name != names.KIND}


def _span(span: Span, known: set[str], start: float, limit: int) -> dict[str, Any]:
    attributes = span_attributes(span, limit=limit)
    message = shorten(span.message, limit)
    is_cut = any(isinstance(one, str) and len(one) == limit for one in (*attributes.values(), message))
    told = {
        "id": span.span_id,
        "parent": span.parent_id if span.parent_id in known else None,
        "name": span.name,
        "kind": span_kind(span),
        "start_s": span.start - start,
        "duration_s": max(0.0, span.duration_s),
        "status": span.status,
        "message": message,
        "attributes": attributes,
    }
    return {**told, "is_cut": True} if is_cut else told


def _shown(value: Any, limit: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return shorten(value, limit)
    return shorten(json.dumps(value, ensure_ascii=False, indent=2, default=repr), limit)


def _name_of(roots: Sequence[Span]) -> str:
    return roots[0].name if roots else ""


def _status_of(roots: Sequence[Span]) -> str:
    """A trace fails where a span at its root does; one below may have been tried again."""
    statuses = {span.status for span in roots}
    return next((one for one in ("error", "cancelled") if one in statuses), "ok")
