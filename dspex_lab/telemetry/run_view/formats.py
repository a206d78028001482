"""Figures and values as people read them; the text form, the HTML form and the panel say the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dspex_lab.telemetry.run_view.reducer import RunView
from dspex_lab.telemetry.run_view.steps import StepStatus, StepView

__all__ = [
    "MARKS",
    "answer_line",
    "cost",
    "error_title",
    "field_text",
    "notes",
    "rate",
    "resume_line",
    "seconds",
    "shorten",
    "summary",
    "tokens",
    "value_text",
]

#: A shape for each state, so that colour is never the only sign.
MARKS: Mapping[StepStatus, str] = {
    StepStatus.PENDING: "○",
    StepStatus.RUNNING: "▶",
    StepStatus.WAITING: "?",
    StepStatus.SUCCEEDED: "✓",
    StepStatus.FAILED: "✗",
    StepStatus.CANCELLED: "■",
    StepStatus.SKIPPED: "–",
}


def seconds(duration_s: float | None) -> str:
    """``0.4 ms``, ``420 ms``, ``3.42 s``, ``2 min 05 s``; "" when it is not known."""
    if duration_s is None:
        return ""
    if duration_s < 0.00095:
        return f"{duration_s * 1000:.1f} ms"
    if duration_s < 0.9995:
        return f"{duration_s * 1000:.0f} ms"
    if duration_s < 59.995:
        return f"{duration_s:.2f} s"
    minutes, rest = divmod(round(duration_s), 60)
    return f"{minutes} min {rest:02d} s"


def rate(tokens_per_s: float | None) -> str:
    """``41.2 tok/s``; "" when it is not known."""
    if tokens_per_s is None:
        return ""
    return f"{tokens_per_s:.1f} tok/s" if tokens_per_s < 100 else f"{tokens_per_s:,.0f} tok/s"


def tokens(count: int) -> str:
    """``1 token``, ``1,234 tokens``; "" when there are none."""
    return f"{count:,} token{'' if count == 1 else 's'}" if count else ""


def cost(dollars: float | None) -> str:
    """US dollars with the digits that matter: ``$1.25``, ``$0.0042``; "" where it is free or no price is known."""
    if not dollars:
        return ""
    if dollars >= 1:
        return f"${dollars:,.2f}"
    return f"${dollars:.4f}" if dollars >= 0.0001 else "<$0.0001"


def value_text(value: Any) -> str:
    """A value as text: text as it is, the rest as JSON; what JSON does not know by its repr."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)


def shorten(text: str, width: int) -> str:
    """``text`` in at most ``width`` characters, the cut marked."""
    return text if len(text) <= width else text[: max(0, width - 1)].rstrip() + "…"


def error_title(error: Mapping[str, Any]) -> str:
    """``TypeError: message``: a foreign error by its own name, ours by theirs."""
    kind = error.get("error_type") or error.get("type") or ""
    message = str(error.get("message") or "unknown error")
    return f"{kind}: {message}" if kind and not message.startswith(str(kind)) else message


def summary(view: RunView) -> list[str]:
    """What a run's first line says after its name: state and time, tokens, rate, cost."""
    usage, written = view.usage, view.output_tokens
    state = str(view.status) if view.duration_s is None else f"{view.status} in {seconds(view.duration_s)}"
    used = f"{usage.input_tokens:,} in · {written:,} out tokens" if usage.input_tokens else tokens(written)
    return [part for part in (state, used, rate(view.tokens_per_s), cost(usage.cost)) if part]


def field_text(field: Mapping[str, Any]) -> str:
    """A field of a question as one writes it: ``comment: str = ''``."""
    default = "" if field.get("is_required") else f" = {field.get('default')!r}"
    return f"{field.get('name')}: {field.get('type_text')}{default}"


def answer_line(view: RunView, question: Mapping[str, Any]) -> str:
    """The line of Python that answers a question."""
    arguments = ", ".join(f"{field.get('name')}=..." for field in question.get("fields") or ())
    return f'lab.run("{view.run_id[:8]}").answer({arguments})'


def resume_line(view: RunView) -> str:
    """The line of Python that goes on with a run whose process has gone, and asks again."""
    return f'run = lab.run("{view.run_id[:8]}").resume()'


def notes(step: StepView) -> list[str]:
    """What is worth a word about a step beside its figures."""
    return [
        *(["kept"] if step.kept else []),
        *(["cached"] if step.cached else []),
        *([f"{step.retries} retr{'y' if step.retries == 1 else 'ies'}"] if step.retries else []),
    ]
