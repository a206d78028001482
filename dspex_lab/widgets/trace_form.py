"""A trace without a script: what a saved notebook, GitHub and nbconvert show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dspex_lab.telemetry.run_view.formats import seconds, shorten
from dspex_lab.telemetry.static_form import box, head, no_math

__all__ = ["trace_html"]

#: The live panel shows all spans, a page without scripts so many.
_MAX_ROWS = 200
_MAX_VALUE_CHARS = 600
_MARKS: Mapping[str, str] = {"ok": "", "error": "✗", "cancelled": "■", "running": "▶"}
#: What is told below a span, by which name.
_VALUES: Mapping[str, str] = {
    "dspex.inputs": "inputs",
    "gen_ai.input.messages": "messages in",
    "gen_ai.output.messages": "messages out",
    "dspex.outputs": "outputs",
}
_COLOURS: Mapping[str, str] = {
    "cell": "var(--md-blue-grey-500, #607d8b)",
    "run": "var(--md-indigo-400, #5c6bc0)",
    "step": "var(--md-blue-500, #2196f3)",
    "call": "var(--md-cyan-600, #00acc1)",
    "queue": "var(--md-grey-500, #9e9e9e)",
    "module": "var(--md-deep-purple-400, #7e57c2)",
    "lm": "var(--md-orange-600, #fb8c00)",
    "tool": "var(--md-green-500, #4caf50)",
    "native": "var(--md-teal-400, #26a69a)",
    "other": "var(--md-brown-400, #8d6e63)",
}
_BAD = "var(--jp-error-color1, #d32f2f)"
_FAINT = "opacity: 0.7; font-size: 12px"
_DIGITS = "text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums"
_CELL = "padding: 2px 10px 2px 0; border: 0; background: none; vertical-align: top; line-height: 1.5; text-align: left"
_LINE = "color-mix(in srgb, currentColor 9%, transparent)"


def trace_html(state: Mapping[str, Any]) -> str:
    """The waterfall as a table: a row for each span with its bar; values and errors folded below."""
    spans = _with_depths(state["spans"])
    rows = "".join(_row(state, depth, span) for depth, span in spans[:_MAX_ROWS])
    table = (
        '<div style="padding: 0 14px"><table style="width: 100%; table-layout: auto; border-collapse: collapse; '
        f'margin: 0; border: 0; font-size: 13px"><tbody>{rows}</tbody></table></div>'
    )
    more = len(spans) - _MAX_ROWS
    rest = f'<div style="padding: 4px 14px; {_FAINT}">and {more:,} more spans</div>' if more > 0 else ""
    empty = f'<div style="padding: 8px 14px; {_FAINT}">This trace holds no spans yet.</div>'
    return box(head(_title(state), _about(state)), table + rest if spans else empty)


def _title(state: Mapping[str, Any]) -> str:
    return str(state["name"] or state["trace_id"][:8] or "a trace")


def _about(state: Mapping[str, Any]) -> str:
    spans = state["spans"]
    failed = sum(span["status"] == "error" for span in spans)
    count = "1 span" if len(spans) == 1 else f"{len(spans):,} spans"
    parts = [seconds(state["duration_s"]), count, f"{failed} failed" if failed else "", str(state["status"])]
    return " · ".join(filter(None, parts))


def _with_depths(spans: Sequence[Mapping[str, Any]]) -> list[tuple[int, Mapping[str, Any]]]:
    depths: dict[str, int] = {}
    for span in spans:
        depths[span["id"]] = depths.get(span["parent"], -1) + 1
    return [(depths[span["id"]], span) for span in spans]


def _share(state: Mapping[str, Any], span: Mapping[str, Any]) -> tuple[float, float]:
    """Where a span begins and how long it is, as shares of the trace."""
    total = state["duration_s"] or 1.0
    start = min(1.0, max(0.0, span["start_s"] / total))
    return start, min(1.0 - start, span["duration_s"] / total)


def _row(state: Mapping[str, Any], depth: int, span: Mapping[str, Any]) -> str:
    colour = _BAD if span["status"] == "error" else _COLOURS.get(span["kind"], _COLOURS["other"])
    start, length = _share(state, span)
    bar = f"margin-left: {min(99.0, 100 * start):.2f}%; width: {max(0.6, 100 * length):.2f}%"
    mark = _MARKS.get(span["status"], "")
    mark_html = f'<span style="color: {colour}" title="{span["status"]}">{mark}</span> ' if mark else ""
    # The indent is made of characters: it stays where styles are taken away.
    name = f"{'&nbsp;' * 3 * min(depth, 12)}{mark_html}{no_math(shorten(span['name'], 80))}"
    details = _details(span)
    if details:
        name = f'<details><summary style="display: list-item">{name}</summary>{details}</details>'
    else:
        name = f"&emsp;{name}"  # as wide as the mark of what can be opened
    return (
        f'<tr style="background: none"><td align="left" style="{_CELL}; width: 46%">{name}</td>'
        f'<td align="left" style="{_CELL}; {_FAINT}; line-height: 20px">{span["kind"]}</td>'
        f'<td align="right" style="{_CELL}; {_DIGITS}">{seconds(span["duration_s"])}</td>'
        f'<td style="{_CELL}; width: 36%; padding-right: 0"><div style="margin-top: 6px; height: 8px; '
        f'border-radius: 2px; background: {_LINE}; overflow: hidden"><div style="{bar}; height: 8px; '
        f'border-radius: 2px; background: {colour}"></div></div></td></tr>'
    )


def _details(span: Mapping[str, Any]) -> str:
    found = span["attributes"]
    parts = [_value(title, found[name]) for name, title in _VALUES.items() if found.get(name) is not None]
    if span["message"]:
        parts.insert(0, f'<div style="color: {_BAD}; white-space: pre-wrap">{no_math(span["message"])}</div>')
    return "".join(parts)


def _value(title: str, value: Any) -> str:
    text = no_math(shorten(str(value), _MAX_VALUE_CHARS))
    style = "white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12px"
    return f'<div style="{style}"><span style="{_FAINT}">{title}</span> {text}</div>'
