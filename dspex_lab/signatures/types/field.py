"""The values of the room: a :class:`Signature` and its :class:`Field` s, as they were read.

They hold resolved Python types and nothing that acts; reading text is ``grammar``, acting on values is ``compiled``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

__all__ = ["MISSING", "Field", "Missing", "Signature", "SignatureForm", "default_instructions"]

#: "string": DSPy's own one-line syntax, prompted exactly as DSPy does; "cell": the ``%%signature`` syntax, in which
#: descriptions and constraints reach the model too.
SignatureForm = Literal["string", "cell"]


class Missing(enum.Enum):
    """The type of :data:`MISSING`; an enum, so that identity survives copies and pickles."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"


#: Stands where no default was given; None is a default like any other.
MISSING: Final = Missing.MISSING


@dataclass(frozen=True, slots=True)
class Field:
    """One input or output.

    ``annotation`` is the resolved type, with constraints inside ``Annotated``; ``annotation_text`` is what the user
    wrote, and "" where no type was written (such an input takes any value, as in DSPy). ``line`` and ``column`` count
    from 1 in the signature's text. ``constraints`` is the sentence about them that the model is shown.
    """

    name: str
    annotation: Any
    annotation_text: str
    description: str
    is_input: bool
    default: Any = MISSING
    line: int | None = None
    column: int | None = None
    constraints: str = ""

    @property
    def has_default(self) -> bool:
        return self.default is not MISSING


@dataclass(frozen=True, slots=True)
class Signature:
    """What goes in, what comes out, and what to do: ``instructions`` are never empty.

    ``namespace`` holds only those of the user's classes that ``text`` names; with it the text can be read again
    elsewhere. ``name_roots`` are all the names that were looked up there, found or not.
    """

    name: str
    instructions: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    text: str
    namespace: Mapping[str, Any] = field(default_factory=dict, repr=False)
    name_roots: frozenset[str] = field(default=frozenset(), repr=False)
    form: SignatureForm = "cell"

    @property
    def fields(self) -> tuple[Field, ...]:
        """Inputs, then outputs."""
        return self.inputs + self.outputs

    def field(self, name: str) -> Field:
        """The field called ``name``; KeyError when there is none."""
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        raise KeyError(name)

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)


def default_instructions(inputs: tuple[Field, ...], outputs: tuple[Field, ...]) -> str:
    """DSPy's own sentence for a signature that has no instructions."""
    given = ", ".join(f"`{item.name}`" for item in inputs)
    produced = ", ".join(f"`{item.name}`" for item in outputs)
    return f"Given the fields {given}, produce the fields {produced}."
