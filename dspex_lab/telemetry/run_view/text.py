"""A run as plain text: for terminals, logs and the ``text/plain`` of a notebook's output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dspex_lab.telemetry.run_view.formats import (
    MARKS,
    answer_line,
    cost,
    error_title,
    field_text,
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

__all__ = ["render_questions_text", "render_text"]

_INDENT = "  "


def render_text(view: RunView, *, width: int = 100) -> str:
    """The run in aligned columns, one line a step, its values and its error below; no line over ``width``."""
    head = " · ".join([view.pipeline or "run", *summary(view)])
    rows = view.rows()
    table = [_cells(depth, step) for depth, step in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [f"{MARKS[view.status]} {head}"]
    for (depth, step), cells in zip(rows, table, strict=True):
        line = "  ".join(cell.ljust(size) for cell, size in zip(cells, widths, strict=True) if size)
        lines.append(_INDENT + line.rstrip())
        lines += [_INDENT * (depth + 3) + detail for detail in _details(step)]
        asked = [one for one in view.questions if one.get("step") == step.name]
        lines += [_INDENT * (depth + 3) + detail for one in asked for detail in _question(view, one)]
    lines += [f"{_INDENT}! {_one_line(warning)}" for warning in view.warnings]
    if view.untold_error:
        lines += [_INDENT + line for line in _error(view.untold_error)]
    return "\n".join(shorten(line, width) for line in lines)


def render_questions_text(view: RunView) -> str:
    """What people are asked now."""
    return "\n".join(line for one in view.questions for line in _question(view, one))


def _cells(depth: int, step: StepView) -> tuple[str, ...]:
    return (
        f"{_INDENT * depth}{MARKS[step.status]} {step.name}",
        step.kind,
        step.route,
        (seconds(step.duration_s) if step.status.is_over else "") or str(step.status),
        tokens(step.output_tokens),
        rate(step.tokens_per_s),
        cost(step.usage.cost),
        ", ".join(notes(step)),
    )


def _details(step: StepView) -> Iterator[str]:
    if step.outputs:
        for name, value in step.outputs.items():
            yield f"{name}: {_one_line(value_text(value))}"
    elif step.status is not StepStatus.SUCCEEDED:
        for stream in step.streams:
            yield f"{stream.field or 'text'}: {_one_line(stream.text)}"
    if step.error:
        yield from _error(step.error)


def _question(view: RunView, question: Mapping[str, Any]) -> Iterator[str]:
    yield f"? {_one_line(str(question.get('text')))}"
    for name, value in (question.get("shows") or {}).items():
        yield f"{name}: {_one_line(value_text(value))}"
    for field in question.get("fields") or ():
        yield f"→ {field_text(field)}"
    yield f"Answer it: {answer_line(view, question)}"


def _error(error: Mapping[str, Any]) -> Iterator[str]:
    yield from error_title(error).splitlines()
    if error.get("hint"):
        yield f"Hint: {_one_line(str(error['hint']))}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
