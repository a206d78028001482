"""A run as static HTML: what a saved notebook, nbconvert and GitHub show, with no kernel and no script.

It looks as the live panel did, so that nothing jumps when it takes the panel's place; but it is a plain table with
``<details>`` and inline styles only, so that it stays readable where styles are taken away. Colours come from the
JupyterLab theme where there is one, else from the text's own colour: no background is ever fixed. Every value is
escaped here.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from dspex_lab.telemetry.run_view.formats import (
    MARKS,
    answer_line,
    cost,
    error_title,
    field_text,
    notes,
    rate,
    resume_line,
    seconds,
    shorten,
    summary,
    tokens,
    value_text,
)
from dspex_lab.telemetry.run_view.reducer import RunView
from dspex_lab.telemetry.run_view.steps import StepStatus, StepView
from dspex_lab.telemetry.static_form import DIGITS, FRAME, LINE, NO_MATH, TABLE, box, no_math

__all__ = ["render_html", "render_questions_html"]

#: Longer values are cut; those that would fill a screen are folded.
_MAX_VALUE_CHARS = 4000
_FOLD_CHARS = 700

_COLOURS = {
    StepStatus.PENDING: "inherit",
    StepStatus.RUNNING: "var(--jp-info-color1, #1976d2)",
    StepStatus.WAITING: "var(--jp-warn-color1, #f57c00)",
    StepStatus.SUCCEEDED: "var(--jp-success-color1, #388e3c)",
    StepStatus.FAILED: "var(--jp-error-color1, #d32f2f)",
    StepStatus.CANCELLED: "var(--jp-warn-color1, #f57c00)",
    StepStatus.SKIPPED: "inherit",
}
_FAINT = "opacity: 0.65"
_SMALL = f"{_FAINT}; font-size: 12px"
_CELL = "padding: 5px 0 3px 10px; border: 0; background: none; vertical-align: middle; line-height: 1.5"
_WRAP = "white-space: pre-wrap; overflow-wrap: anywhere"


def render_html(view: RunView, *, picture: str = "") -> str:
    """The run as a table: a row for each step with its state, route, tokens and time, its values and errors below.
    ``picture`` is the pipeline's, as HTML that is safe; it is folded."""
    body = "".join(_rows(view, depth, step) for depth, step in view.rows())
    failure = _error(view.untold_error) if view.untold_error else ""
    failure += "".join(f'<div style="{_FAINT}">! {no_math(warning)}</div>' for warning in view.warnings)
    below = f'<div style="margin: 8px 14px 0 40px">{failure}</div>' if failure else ""
    table = f'<table style="{TABLE}"><tbody>{body}</tbody></table>'
    return box(_head(view), below, table, _folded_picture(picture))


def render_questions_html(view: RunView) -> str:
    """What people are asked now, beside a panel that has the forms: for a notebook that is saved meanwhile. Where the
    panel lives its style hides this."""
    asked = "".join(
        f'<div style="padding: 8px 14px">{_mark(StepStatus.WAITING)} '
        f"<strong>{no_math(str(one.get('step')))}</strong>{_question(view, one)}</div>"
        for one in view.questions
    )
    again = f'<div style="padding: 0 14px; {_SMALL}">After a restart: <code>{no_math(resume_line(view))}</code></div>'
    return f'<div class="dspex-asked {NO_MATH}" style="{FRAME}">{asked}{again}</div>' if asked else ""


def _folded_picture(picture: str) -> str:
    if not picture:
        return ""
    return f'<details style="padding: 2px 14px 4px"><summary style="{_SMALL}">Graph</summary>{picture}</details>'


def _head(view: RunView) -> str:
    state, *rest = summary(view)
    figures = "".join(f" · {no_math(part)}" for part in rest)
    colour = _COLOURS[view.status]
    line = f"border-bottom: 2px solid {LINE if colour == 'inherit' else colour}; margin-bottom: 4px"
    return (
        f'<div style="padding: 10px 14px 9px; {line}">{_mark(view.status)} '
        f'<strong style="font-size: 14px">{no_math(view.pipeline or "run")}</strong>&ensp;'
        f'<span style="color: {colour}">{no_math(state)}</span><span style="{_FAINT}; {DIGITS}">{figures}</span></div>'
    )


def _rows(view: RunView, depth: int, step: StepView) -> str:
    # The indent is made of characters: it stays where styles are taken away.
    left = f'<span style="letter-spacing: 2px">{"&nbsp;" * 4 * depth}</span>' if depth else ""
    faint = step.status in (StepStatus.PENDING, StepStatus.SKIPPED)
    name = f'<span style="{_FAINT}">{no_math(step.name)}</span>' if faint else f"<strong>{no_math(step.name)}</strong>"
    about = " · ".join([step.kind, *notes(step)] if step.kind else notes(step))
    title = f'{left}{_mark(step.status)} {name}&ensp;<span style="{_SMALL}">{no_math(about)}</span>&ensp;{_badge(step)}'
    time = seconds(step.duration_s)
    if not time and step.status is not StepStatus.PENDING:
        time = f'<span style="{_SMALL}">{step.status}</span>'
    figures = " · ".join(filter(None, (tokens(step.output_tokens), rate(step.tokens_per_s), cost(step.usage.cost))))
    right = f"text-align: right; {DIGITS}"
    row = (
        f'<tr style="background: none"><th scope="row" align="left" style="{_CELL}; padding-left: 14px; '
        f'text-align: left; font-weight: 400; width: 100%">{title}</th>'
        f'<td align="right" style="{_CELL}; {right}"><span style="{_SMALL}">{no_math(figures)}'
        f"</span>{_bar(view, step)}</td>"
        f'<td align="right" style="{_CELL}; {right}; padding-right: 14px; min-width: 62px">{time}</td></tr>'
    )
    details = _details(step) + "".join(_question(view, one) for one in view.questions if one.get("step") == step.name)
    if not details:
        return row
    indent = f"padding: 0 14px 4px {40 + 24 * depth}px; text-align: left"
    return f'{row}<tr style="background: none"><td colspan="3" style="{_CELL}; {indent}">{details}</td></tr>'


def _mark(status: StepStatus) -> str:
    style = f"color: {_COLOURS[status]}; display: inline-block; width: 16px; margin-right: 6px; text-align: center"
    return f'<span style="{style}" title="{status}">{MARKS[status]}</span>'


def _badge(step: StepView) -> str:
    if not step.route:
        return ""
    style = (
        f"{_FAINT}; display: inline-block; padding: 0 7px; border: 1px solid currentColor; border-radius: 9px; "
        "font: 11px/16px var(--jp-ui-font-family, system-ui, sans-serif); color: inherit; background: none"
    )
    title = escape(" · ".join(filter(None, (step.reason, step.worker and f"worker {step.worker}"))))
    return f'<code style="{style}" title="{title}">{no_math(step.route)}</code>'


def _bar(view: RunView, step: StepView) -> str:
    """When in the run the step ran."""
    if not (view.duration_s and view.started is not None and step.started is not None and step.duration_s is not None):
        return ""
    left = min(98.0, max(0.0, 100 * (step.started - view.started) / view.duration_s))
    width = min(100.0 - left, max(2.0, 100 * step.duration_s / view.duration_s))
    bar = f"margin-left: {left:.1f}%; width: {width:.1f}%; height: 4px; border-radius: 2px"
    return (
        '<div style="display: inline-block; vertical-align: middle; width: 96px; height: 4px; margin-left: 10px; '
        f'border-radius: 2px; background: {LINE}">'
        f'<div style="{bar}; background: {_COLOURS[step.status]}"></div></div>'
    )


def _details(step: StepView) -> str:
    parts = [_value(name, value_text(value)) for name, value in step.outputs.items()]
    if not parts and step.status is not StepStatus.SUCCEEDED:
        parts = [_value(stream.field or "text", stream.text) for stream in step.streams]
    if step.error:
        parts.append(_error(step.error))
    return "".join(parts)


def _value(name: str, text: str) -> str:
    label = f'<span style="{_SMALL}">{no_math(name)}&ensp;</span>'
    shown = no_math(shorten(text, _MAX_VALUE_CHARS))
    if len(text) <= _FOLD_CHARS:
        grid = "display: grid; grid-template-columns: minmax(72px, max-content) minmax(0, 1fr); column-gap: 12px"
        return f'<div style="{grid}">{label}<span style="{_WRAP}">{shown}</span></div>'
    begin = no_math(shorten(" ".join(text.split()), 100))
    return f'<details><summary>{label}{begin}</summary><div style="{_WRAP}; margin: 4px 0">{shown}</div></details>'


def _question(view: RunView, question: Mapping[str, Any]) -> str:
    """What is asked, without a form: nobody would hear it."""
    shown = "".join(_value(name, value_text(value)) for name, value in (question.get("shows") or {}).items())
    fields = "".join(f"<li><code>{no_math(field_text(field))}</code></li>" for field in question.get("fields") or ())
    how = f'<div style="{_SMALL}">Answer it: <code>{no_math(answer_line(view, question))}</code></div>'
    title = f'<div style="color: {_COLOURS[StepStatus.WAITING]}; {_WRAP}">? {no_math(str(question.get("text")))}</div>'
    return f'{title}{shown}<ul style="margin: 2px 0">{fields}</ul>{how}'


def _error(error: Mapping[str, Any]) -> str:
    title = f'<div style="color: {_COLOURS[StepStatus.FAILED]}; {_WRAP}">{no_math(error_title(error))}</div>'
    hint = f'<div style="{_FAINT}">Hint: {no_math(str(error["hint"]))}</div>' if error.get("hint") else ""
    trace = str(error.get("traceback") or "").strip()
    if not trace:
        return title + hint
    pre = (
        f"{_WRAP}; background: none; margin: 4px 0; font: 12px/1.45 var(--jp-code-font-family, ui-monospace, monospace)"
    )
    folded = f'<summary style="{_SMALL}">Traceback</summary><pre style="{pre}">{no_math(trace)}</pre>'
    return f"{title}{hint}<details>{folded}</details>"
