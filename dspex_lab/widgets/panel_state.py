"""What the run panel's front end is told, as plain data; ``static/run_panel.js`` names the same fields in its types.

Figures are sent as numbers, times as seconds since the run's start, so that neither clocks nor languages need agree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from dspex_lab.telemetry.run_view import RunView, StepView
from dspex_lab.telemetry.run_view.formats import error_title, notes, shorten, value_text
from dspex_lab.widgets.outbox import Batch

__all__ = ["refused_message", "state_message", "texts_message", "tokens_message"]

#: A value longer than this is cut in the panel; the notebook's own variable has all of it.
_MAX_VALUE_CHARS = 20_000


def state_message(
    view: RunView,
    *,
    now: float,
    is_cancelling: bool = False,
    can_cancel: bool = True,
    repeatable: Collection[str] = (),
) -> dict[str, Any]:
    """The whole panel but for its streamed text; ``now`` in epoch seconds. ``repeatable`` are the steps from which the
    run can be run again when it is over."""
    return {
        "run": {
            "id": view.run_id,
            "pipeline": view.pipeline,
            "status": str(view.status),
            "elapsed_s": view.elapsed_s(now),
            "input_tokens": view.usage.input_tokens,
            "output_tokens": view.output_tokens,
            "tokens_per_s": view.tokens_per_s,
            "cost": view.usage.cost,
            "error": _error(view.untold_error),
            "warnings": list(view.warnings),
            "is_over": view.is_over,
            "is_cancelling": is_cancelling and not view.is_over,
            "can_cancel": can_cancel,
        },
        "steps": [_step(view, depth, step, now, repeatable) for depth, step in view.rows()],
        "questions": [_question(one, now) for one in view.questions],
    }


def refused_message(question: str, attempt: int, faults: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What is wrong with an answer, field by field; ``attempt`` is the number that the page gave to it."""
    told = [{"field": str(one.get("field") or ""), "message": str(one.get("message") or "")} for one in faults]
    return {"kind": "refused", "question": question, "attempt": attempt, "faults": told}


def tokens_message(view: RunView, batch: Batch) -> dict[str, Any]:
    """What came since the last message: pieces of text, and the figures that they change."""
    names = {piece.step for piece in batch.pieces}
    return {
        "kind": "tokens",
        "run_id": view.run_id,
        "pieces": [[piece.step, piece.field, piece.at, piece.text] for piece in batch.pieces],
        "steps": {
            step.name: [step.output_tokens, step.tokens_per_s, step.first_token_s]
            for step in view.steps
            if step.name in names
        },
        "run": [view.output_tokens, view.tokens_per_s],
        "sent_at": batch.sent_at,
    }


def texts_message(view: RunView) -> dict[str, Any]:
    """Every text as far as it is kept, for a view that opened late: pieces that end where the stream is now."""
    pieces = []
    for step in view.steps:
        for stream in step.streams:
            text = stream.text
            pieces.append([step.name, stream.field, stream.length - len(text), text])
    return {"kind": "texts", "run_id": view.run_id, "pieces": pieces}


def _step(view: RunView, depth: int, step: StepView, now: float, repeatable: Collection[str]) -> dict[str, Any]:
    begun_s = step.started - view.started if step.started is not None and view.started is not None else None
    took_s = step.duration_s
    if took_s is None and step.started is not None:
        took_s = max(0.0, now - step.started)
    return {
        "name": step.name,
        "kind": step.kind,
        "depth": depth,
        "status": str(step.status),
        "route": step.route,
        "reason": step.reason,
        "worker": step.worker,
        "begun_s": begun_s,
        "took_s": took_s,
        "first_token_s": step.first_token_s,
        "tokens": step.output_tokens,
        "tokens_per_s": step.tokens_per_s,
        "cost": step.usage.cost,
        "notes": notes(step),
        "outputs": [[name, shorten(value_text(value), _MAX_VALUE_CHARS)] for name, value in step.outputs.items()],
        "error": _error(step.error),
        "can_rerun": view.is_over and step.name in repeatable,
    }


def _question(question: Mapping[str, Any], now: float) -> dict[str, Any]:
    answer_by = question.get("answer_by")
    shows = (question.get("shows") or {}).items()
    return {
        "id": question["id"],
        "step": question["step"],
        "text": question["text"],
        "shows": [[name, shorten(value_text(value), _MAX_VALUE_CHARS)] for name, value in shows],
        "fields": list(question.get("fields") or ()),
        "left_s": None if answer_by is None else max(0.0, answer_by - now),
        "has_default": question.get("default") is not None,
    }


def _error(error: Any) -> dict[str, str] | None:
    if not error:
        return None
    return {
        "title": error_title(error),
        "hint": str(error.get("hint") or ""),
        "traceback": str(error.get("traceback") or "").strip(),
    }
