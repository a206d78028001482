"""The values of a form: how each field is asked for, and a file that was given for one.

Frozen and plain; what they are made of and turned into is ``forms``'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Control", "FieldKind", "FormField", "Uploaded"]

#: How a field is asked for: "lines" takes one item of a list on each line, "many" any number of the choices, "table"
#: rows as JSON or a file of them, "file" an address or a file, "json" whatever has no form of its own.
FieldKind = Literal[
    "checkbox", "select", "many", "number", "text", "lines", "date", "datetime", "time", "json", "table", "file"
]


@dataclass(frozen=True, slots=True)
class Control:
    """With what a type is asked for. ``choices`` are plain data; a number that ``is_whole`` is an int; ``example`` is a
    value as JSON, ``accept`` the files that are taken, as a browser is told."""

    kind: FieldKind
    allows_none: bool = False
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    is_whole: bool = False
    example: str = ""
    accept: str = ""
    #: What a file becomes: "frame" and "rows" of a table; "bytes", "text", or the name of DSPy's type.
    file_form: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField(Control):
    """One field: its control, and what it is called, is for and holds. ``default`` is plain data, ``constraints`` a
    sentence for people."""

    name: str
    type_text: str
    description: str = ""
    constraints: str = ""
    is_required: bool = True
    default: Any = None
    #: Says what was given in Python and stands in no control, such as a DataFrame; "" where there is no such value.
    held: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Uploaded:
    """A file that was given for a field."""

    name: str
    media_type: str
    data: bytes

    def __repr__(self) -> str:
        return f"Uploaded({self.name!r}, {self.media_type!r}, {len(self.data)} bytes)"
