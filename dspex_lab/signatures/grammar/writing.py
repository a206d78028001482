"""Writes a signature down again as text: for signatures that were made rather than read.

``parse_signature(text, namespace=...)`` of what comes out gives the same fields, types and instructions.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from dspex_lab.signatures.types.constraints import field_options_of
from dspex_lab.signatures.types.dspy_types import DspyType
from dspex_lab.signatures.types.field import Field, SignatureForm
from dspex_lab.signatures.types.known_types import BUILTIN_TYPES, KNOWN_TYPES

__all__ = ["annotation_text", "signature_text"]


def signature_text(instructions: str, inputs: Iterable[Field], outputs: Iterable[Field], *, form: SignatureForm) -> str:
    """The text of a signature whose fields know their ``annotation_text``."""
    head = _docstring(instructions)
    if form == "string":
        return f"{head}\n{', '.join(map(_plain, inputs))} -> {', '.join(map(_plain, outputs))}"
    return "\n".join([head, *map(_line, inputs), "->", *map(_line, outputs)])


def annotation_text(annotation: Any, namespace: dict[str, Any]) -> str:
    """How ``annotation`` is written; user classes, and whatever has no written form, get a name in ``namespace``."""
    origin: Any = get_origin(annotation)
    if origin is None:
        return _leaf(annotation, namespace)
    if origin is Annotated:
        return _annotated(annotation, namespace)
    if origin is Literal:
        return f"Literal[{', '.join(_choice(value, namespace) for value in get_args(annotation))}]"
    arguments = [annotation_text(part, namespace) for part in get_args(annotation)]
    if origin in (Union, types.UnionType):
        return " | ".join(arguments)
    named = getattr(annotation, "_name", None)
    if isinstance(annotation, types.GenericAlias) and BUILTIN_TYPES.get(annotation.__name__) is origin:
        return f"{annotation.__name__}[{', '.join(arguments)}]"
    if named in KNOWN_TYPES and arguments:
        return f"{named}[{', '.join(arguments)}]"
    return _named(annotation, namespace)


def _annotated(annotation: Any, namespace: dict[str, Any]) -> str:
    inner, *metadata = get_args(annotation)
    options: dict[str, Any] = {}
    for item in metadata:
        if not isinstance(item, FieldInfo):
            return _named(annotation, namespace)
        options.update(field_options_of(item))
    if any(not isinstance(value, str | int | float | bool | list) for value in options.values()):
        return _named(annotation, namespace)
    written = ", ".join(f"{name}={value!r}" for name, value in options.items())
    text = annotation_text(inner, namespace)
    return f"Annotated[{text}, Field({written})]" if options else text


def _leaf(annotation: Any, namespace: dict[str, Any]) -> str:
    if annotation is types.NoneType or annotation is None:
        return "None"
    if annotation is ...:
        return "..."
    name = getattr(annotation, "__name__", None)
    if name and BUILTIN_TYPES.get(name) is annotation:
        return str(name)
    for known, value in KNOWN_TYPES.items():
        if value is annotation:
            return known
    if isinstance(annotation, type) and issubclass(annotation, DspyType):
        return annotation.__qualname__
    return _named(annotation, namespace)


def _named(annotation: Any, namespace: dict[str, Any]) -> str:
    """A name for ``annotation`` in ``namespace``: its own if that is free, else one with a number."""
    wanted = getattr(annotation, "__name__", "") if isinstance(annotation, type) else ""
    base = wanted if wanted.isidentifier() and wanted not in BUILTIN_TYPES else "FieldType"
    name, number = base, 2
    while namespace.get(name, annotation) is not annotation:
        name, number = f"{base}{number}", number + 1
    namespace[name] = annotation
    return name


def _choice(value: Any, namespace: dict[str, Any]) -> str:
    if isinstance(value, enum.Enum):
        return f"{_named(type(value), namespace)}.{value.name}"
    return repr(value)


def _plain(field: Field) -> str:
    return f"{field.name}: {field.annotation_text}" if field.annotation_text else field.name


def _line(field: Field) -> str:
    """One line of the cell form; descriptions that fit no comment, and list-like defaults, go into ``Field(...)``."""
    text = _plain(field)
    description = field.description
    fits_comment = "\n" not in description and description == description.lstrip("#").strip()
    if description and not fits_comment:
        default = f"default={_value(field.default)}, " if field.has_default else ""
        return f"{text} = Field({default}description={description!r})"
    if field.has_default:
        text = f"{text} = {_value(field.default)}"
    return f"{text}  # {description}" if description else text


def _value(value: Any) -> str:
    return f"{type(value).__name__}.{value.name}" if isinstance(value, enum.Enum) else repr(value)


def _docstring(text: str) -> str:
    if "\\" in text or '"""' in text or text.endswith('"') or not text.isprintable():
        if all(part.isprintable() for part in text.split("\n")) and not ("\\" in text or '"' in text):
            return f'"""{text}"""'
        return repr(text)
    return f'"""{text}"""'
