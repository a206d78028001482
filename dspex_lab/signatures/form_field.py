"""The values of a form: how each field is asked for, and a file that was given for one.

Frozen and plain; what they are made of and turned into is ``forms``'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["FieldKind", "FormField", "Uploaded"]

#: How a field is asked for: "lines" takes one item of a list on each line, "many" any number of the choices, "table"
#: rows as JSON or a file of them, "file" an address or a file, "json" whatever has no form of its own.
FieldKind = Literal[
    "checkbox", "select", "many", "number", "text", "lines", "date", "datetime", "time", "json", "table", "file"
]


@dataclass(frozen=True, slots=True)
class FormField:
    """One field. ``choices`` and ``default`` are plain data; a number that ``is_whole`` is an int. ``constraints`` is a
    sentence for people, ``example`` a value as JSON, ``accept`` the files that are taken, as a browser is told."""

    name: str
    kind: FieldKind
    type_text: str
    description: str = ""
    constraints: str = ""
    is_required: bool = True
    allows_none: bool = False
    default: Any = None
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    is_whole: bool = False
    example: str = ""
    accept: str = ""
    #: Says what was given in Python and stands in no control, such as a DataFrame; "" where there is no such value.
    held: str = ""
    #: What a file becomes: "frame" and "rows" of a table; "bytes", "text", or the name of DSPy's type.
    file_form: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Uploaded:
    """A file that was given for a field."""

    name: str
    media_type: str
    data: bytes

    def __repr__(self) -> str:
        return f"Uploaded({self.name!r}, {self.media_type!r}, {len(self.data)} bytes)"
