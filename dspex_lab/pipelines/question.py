"""What a run asks of people: frozen questions, the fields of their forms, and how they read in a terminal.

Values only; who asks and who answers is the business of ``questions``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dspex_lab.pipelines.plain import plain

__all__ = ["FieldKind", "FormField", "Question"]

#: How a field is asked for: "lines" takes one item of a list on each line, "json" whatever has no form of its own.
FieldKind = Literal["checkbox", "select", "number", "text", "lines", "json"]

_MAX_SHOWN_CHARS = 600


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of an answer. ``choices`` and ``default`` are plain data; a number that ``is_whole`` is an int."""

    name: str
    kind: FieldKind
    type_text: str
    description: str = ""
    is_required: bool = True
    allows_none: bool = False
    default: Any = None
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    is_whole: bool = False


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
            about = f"  # {one.description}" if one.description else ""
            lines.append(f"  → {one.name}: {one.type_text}{default}{about}")
        return "\n".join(lines)
