"""What a run asks of people: frozen questions, and how they read in a terminal.

Values only; who asks and who answers is the business of ``questions``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dspex_lab.pipelines.outcome.plain import plain
from dspex_lab.signatures import FormField

__all__ = ["Question"]

_MAX_SHOWN_CHARS = 600


@dataclass(frozen=True, slots=True, repr=False)
class Question:
    """A question that is open: its ``id`` is unique in its run, ``shows`` are the values to look at, ``default`` is the
    answer when nobody gives one until ``answer_by`` (epoch seconds)."""

    id: str
    step: str
    text: str
    shows: Mapping[str, Any]
    fields: tuple[FormField, ...]
    default: Mapping[str, Any] | None
    asked_at: float
    answer_by: float | None = None

    def to_plain(self) -> dict[str, Any]:
        """The question as plain data, for events."""
        return {
            "id": self.id,
            "step": self.step,
            "text": self.text,
            "shows": {name: plain(value) for name, value in self.shows.items()},
            "fields": [{**asdict(one), "default": plain(one.default)} for one in self.fields],
            "default": None if self.default is None else plain(self.default),
            "asked_at": self.asked_at,
            "answer_by": self.answer_by,
        }

    def how_to_answer(self, run_id: str) -> str:
        """The line of Python that answers it."""
        arguments = ", ".join(f"{one.name}=..." for one in self.fields)
        return f'lab.run("{run_id[:8]}").answer({arguments})'

    def __repr__(self) -> str:
        fields = ", ".join(f"{one.name}: {one.type_text}" for one in self.fields)
        return f"<Question {self.id} [{fields}]: {self.text}>"

    def __str__(self) -> str:
        lines = [f"? {self.step}: {self.text}"]
        for name, value in self.shows.items():
            text = value if isinstance(value, str) else repr(value)
            text = text if len(text) <= _MAX_SHOWN_CHARS else f"{text[: _MAX_SHOWN_CHARS - 1]}…"
            lines.append(f"  {name}: " + text.replace("\n", "\n    "))
        for one in self.fields:
            default = "" if one.is_required else f" = {one.default!r}"
            words = "; ".join(filter(None, (one.description, one.constraints)))
            about = f"  # {words}" if words else ""
            lines.append(f"  → {one.name}: {one.type_text}{default}{about}")
        return "\n".join(lines)
