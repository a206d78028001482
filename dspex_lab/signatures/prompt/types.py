"""How DSPy 3.4 speaks of types to a model: names, notes on output fields, the list of fields.

The wording is DSPy's to the byte; the parity tests compare it with the installed DSPy.
"""

from __future__ import annotations

import enum
import inspect
import json
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter

from dspex_lab.signatures.types.dspy_types import DspyType
from dspex_lab.signatures.types.field import Field, SignatureForm
from dspex_lab.signatures.types.rebuild import without_metadata

__all__ = ["annotation_name", "field_list", "output_note", "placeholder"]


def annotation_name(annotation: Any) -> str:
    """The type's name in a prompt, such as ``Union[str, NoneType]``."""
    origin: Any = get_origin(annotation)
    if origin is types.UnionType:
        origin = Union
    if origin is None:
        if isinstance(annotation, type) and issubclass(annotation, DspyType) and annotation.dspy_name == "Reasoning":
            return "str"
        return str(annotation.__name__) if hasattr(annotation, "__name__") else str(annotation)
    arguments = get_args(annotation)
    if origin is Literal:
        shown = (_quoted(value) if isinstance(value, str) else annotation_name(value) for value in arguments)
    else:
        shown = (annotation_name(part) for part in arguments)
    return f"{annotation_name(origin)}[{', '.join(shown)}]"


def field_list(fields: Iterable[Field], form: SignatureForm) -> str:
    """The numbered list of fields in the system message."""
    lines = []
    for number, item in enumerate(fields, start=1):
        description = item.description if form == "cell" else ""
        line = f"{number}. `{item.name}` ({annotation_name(without_metadata(item.annotation))}): {description}"
        lines.append(f"{line}\nConstraints: {item.constraints}" if item.constraints else line)
    return "\n".join(lines).strip()


def placeholder(item: Field) -> str:
    """The field's name in braces, and for an output what is wanted of it."""
    note = "" if item.is_input else output_note(without_metadata(item.annotation))
    return f"{{{item.name}}}{' ' * 8}# note: the value you produce {note}" if note else f"{{{item.name}}}"


def output_note(kind: Any) -> str:
    """What DSPy asks of a value of type ``kind``; "" for text."""
    if kind is str:
        return ""
    if kind is bool:
        return "must be True or False"
    if kind in (int, float):
        return f"must be a single {kind.__name__} value"
    if inspect.isclass(kind) and get_origin(kind) is None and issubclass(kind, enum.Enum):
        return f"must be one of: {'; '.join(str(member.value) for member in kind)}"
    if get_origin(kind) is Literal:
        return f"must exactly match (no extra characters) one of: {'; '.join(str(value) for value in get_args(kind))}"
    schema = _type_first(TypeAdapter(kind).json_schema())
    return f"must adhere to the JSON schema: {json.dumps(schema, ensure_ascii=False)}"


def _type_first(node: Any) -> Any:
    """``node`` with its keys sorted, ``type`` before the others."""
    if isinstance(node, Mapping):
        pairs = sorted(node.items(), key=lambda pair: (pair[0] != "type", pair[0]))
        return {key: _type_first(value) for key, value in pairs}
    if isinstance(node, list):
        return [_type_first(item) for item in node]
    return node


def _quoted(text: str) -> str:
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    escaped = text.replace("'", "\\'")
    return f"'{escaped}'"
