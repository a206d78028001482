"""A run as static HTML: what a saved notebook, nbconvert and GitHub show, with no kernel and no script.

Plain tables, ``<details>`` and inline styles only, so that it stays readable where styles are taken away. Colours
come from the JupyterLab theme where there is one, else from the text's own colour: no background is ever fixed.
Every value is escaped here.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape as escape_html
from typing import Any

from dspex_lab.telemetry.run_view.formats import (
    MARKS,
    cost,
    error_title,
    notes,
    rate,
    seconds,
    shorten,
    summary,
    tokens,
    value_text,
)
from dspex_lab.telemetry.run_view.reducer import RunView
from dspex_lab.telemetry.run_view.steps import StepStatus, StepView

__all__ = ["render_html"]

#: Longer values are cut, with their tail folded away.
_MAX_VALUE_CHARS = 4000
_FOLD_CHARS = 320

_COLOURS = {
    StepStatus.PENDING: "inherit",
    StepStatus.RUNNING: "var(--jp-info-color1, #1976d2)",
    StepStatus.SUCCEEDED: "var(--jp-success-color1, #388e3c)",
    StepStatus.FAILED: "var(--jp-error-color1, #d32f2f)",
    StepStatus.CANCELLED: "var(--jp-warn-color1, #f57c00)",
    StepStatus.SKIPPED: "inherit",
}
_LINE = "1px solid color-mix(in srgb, currentColor 16%, transparent)"
_FONT = "font-family: var(--jp-ui-font-family, system-ui, sans-serif); font-size: 13px; line-height: 1.5"
_MONO = "font-family: var(--jp-code-font-family, ui-monospace, monospace); font-size: 12px"
# JupyterLab lays tables out in equal columns if it is not told otherwise.
_TABLE = "width: 100%; table-layout: auto; border-collapse: collapse; margin: 8px 0 0; font-size: 13px"
#: Text of models and users is no formula: the classes that MathJax passes over, of its versions 2 and 3.
_NO_MATH = "tex2jax_ignore mathjax_ignore"
_BOX = f"{_FONT}; border: {_LINE}; border-radius: 8px; padding: 10px 14px 4px; margin: 4px 0"
_CELL = f"padding: 6px 18px 6px 0; border: 0; border-top: {_LINE}; text-align: left; vertical-align: top"
_FIGURE = f"{_CELL}; text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums"
_FAINT = "opacity: 0.65"


def _escape(text: str) -> str:
    """``text`` for HTML; a dollar stands apart, so that no two of them make a formula where classes are taken away."""
    return escape_html(text).replace("$", "<span>$</span>")


def render_html(view: RunView) -> str:
    """The run as a table: one row a step with its state, route, time, tokens and values; errors folded below them."""
    body = "".join(_row(view, depth, step) for depth, step in view.rows())
    failure = _error(view.error) if view.error and not any(step.error for step in view.steps) else ""
    return (
        f'<div class="{_NO_MATH}" style="{_BOX}">'
        f"{_head(view)}{failure}"
        f'<table style="{_TABLE}">'
        f"<thead><tr>{_column_heads()}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _head(view: RunView) -> str:
    parts = summary(view)
    rest = "".join(f" · {_escape(part)}" for part in parts[1:])
    return (
        f"<div>{_mark(view.status)} <strong>{_escape(view.pipeline or 'run')}</strong> "
        f'<span style="color: {_COLOURS[view.status]}">{_escape(parts[0])}</span>'
        f'<span style="{_FAINT}; font-variant-numeric: tabular-nums">{rest}</span></div>'
    )


def _column_heads() -> str:
    # A first column that keeps its width, and a last one that takes what is left.
    cells = []
    for name in ("Step", "Route", "Time", "Tokens", "Result"):
        align = "right" if name in ("Time", "Tokens") else "left"
        width = "; width: 100%" if name == "Result" else ""
        style = f"padding: 2px 18px 4px 0; border: 0; text-align: {align}; font-weight: 500; font-size: 11px; {_FAINT}"
        cells.append(f'<th style="{style}{width}">{name}</th>')
    return "".join(cells)


def _row(view: RunView, depth: int, step: StepView) -> str:
    # The indent is made of characters: it stays where styles are taken away.
    name = f"{'&nbsp;' * 6 * depth}{_mark(step.status)} <strong>{_escape(step.name)}</strong>"
    kind = f' <span style="{_FAINT}; font-size: 12px">{_escape(step.kind)}</span>' if step.kind else ""
    return (
        f'<tr style="background: none"><td style="{_CELL}; white-space: nowrap">{name}{kind}</td>'
        f'<td style="{_CELL}">{_badge(step)}</td>'
        f'<td style="{_FIGURE}">{_time(view, step)}</td>'
        f'<td style="{_FIGURE}">{_figures(step)}</td>'
        f'<td style="{_CELL}; padding-right: 0">{_result(step)}</td></tr>'
    )


def _mark(status: StepStatus) -> str:
    return f'<span style="color: {_COLOURS[status]}" title="{status}">{MARKS[status]}</span>'


def _badge(step: StepView) -> str:
    if not step.route:
        return ""
    style = (
        "display: inline-block; padding: 0 7px; border-radius: 9px; font-size: 11px; "
        "border: 1px solid color-mix(in srgb, currentColor 30%, transparent)"
    )
    return f'<span style="{style}" title="{escape_html(step.reason)}">{_escape(step.route)}</span>'


def _time(view: RunView, step: StepView) -> str:
    """The duration over a bar that says when in the run the step ran."""
    words = seconds(step.duration_s) or _escape(str(step.status))
    if not (view.duration_s and view.started is not None and step.started is not None and step.duration_s is not None):
        return words
    left = min(99.0, max(0.0, 100 * (step.started - view.started) / view.duration_s))
    width = min(100.0 - left, max(1.0, 100 * step.duration_s / view.duration_s))
    return (
        f'{words}<div style="width: 84px; height: 3px; margin: 3px 0 0 auto; border-radius: 2px; '
        'background: color-mix(in srgb, currentColor 12%, transparent)">'
        f'<div style="margin-left: {left:.1f}%; width: {width:.1f}%; height: 3px; border-radius: 2px; '
        f'background: {_COLOURS[step.status]}"></div></div>'
    )


def _figures(step: StepView) -> str:
    count = tokens(step.output_tokens).replace(" tokens", "").replace(" token", "")
    faint = " · ".join(part for part in (rate(step.tokens_per_s), cost(step.usage.cost)) if part)
    below = f'<br><span style="{_FAINT}; font-size: 12px">{_escape(faint)}</span>' if faint else ""
    return f"{count}{below}"


def _result(step: StepView) -> str:
    parts = [_value(name, value_text(value)) for name, value in step.outputs.items()]
    if not parts and step.status is not StepStatus.SUCCEEDED:
        parts = [_value(stream.field or "text", stream.text) for stream in step.streams]
    if step.error:
        parts.append(_error(step.error))
    faint = ", ".join(notes(step))
    if faint:
        parts.append(f'<div style="{_FAINT}; font-size: 12px">{_escape(faint)}</div>')
    return "".join(parts)


def _value(name: str, text: str) -> str:
    label = f'<span style="{_FAINT}">{_escape(name)}</span>&ensp;'
    shown = shorten(text, _MAX_VALUE_CHARS)
    style = 'style="white-space: pre-wrap; overflow-wrap: anywhere"'
    if len(shown) <= _FOLD_CHARS:
        return f"<div {style}>{label}{_escape(shown)}</div>"
    begin = _escape(shorten(shown.split("\n\n", maxsplit=1)[0], 120))
    return f"<details><summary>{label}{begin}</summary><div {style}>{_escape(shown)}</div></details>"


def _error(error: Mapping[str, Any]) -> str:
    colour = _COLOURS[StepStatus.FAILED]
    hint = f'<div style="{_FAINT}">Hint: {_escape(str(error["hint"]))}</div>' if error.get("hint") else ""
    trace = str(error.get("traceback") or "").strip()
    folded = (
        f'<details><summary style="{_FAINT}">Traceback in the worker</summary>'
        f'<pre style="{_MONO}; white-space: pre-wrap; background: none; margin: 4px 0">{_escape(trace)}</pre></details>'
        if trace
        else ""
    )
    title = _escape(error_title(error))
    return f'<div style="color: {colour}; white-space: pre-wrap; overflow-wrap: anywhere">{title}</div>{hint}{folded}'
