"""From the fields of an answer to those of a form, and from what a form gives back to values. Pure.

What a form gives is what people typed: the signature's validator has the last word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pydantic

from dspex_lab.errors import ValidationError
from dspex_lab.pipelines.fields import type_text
from dspex_lab.pipelines.question import FieldKind, FormField
from dspex_lab.signatures import CompiledSignature, Field, to_plain

__all__ = ["form_fields", "values_of_form"]

_Schema = Mapping[str, Any]


def form_fields(answer: CompiledSignature, default: Mapping[str, Any] | None = None) -> tuple[FormField, ...]:
    """How each field of ``answer`` (its inputs) is asked for; ``default`` stands in the form at first."""
    return tuple(_form_field(one, default or {}) for one in answer.inputs)


def values_of_form(fields: tuple[FormField, ...], raw: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed into a form, as values for the validator. An empty field that may be left out is left out.
    Raises ``ValidationError`` for JSON that is none."""
    values: dict[str, Any] = {}
    for one in fields:
        if one.name not in raw:
            continue
        value = raw[one.name]
        is_empty = value is None or (value == "" and one.kind != "text")
        if is_empty or (value == "" and one.allows_none):
            if one.allows_none:
                values[one.name] = None
            continue
        values[one.name] = _read(one, value)
    # What the form does not know is the validator's to refuse.
    known = {one.name for one in fields}
    return values | {name: value for name, value in raw.items() if name not in known}


def _read(one: FormField, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if one.kind == "lines":
        return [line.strip() for line in value.splitlines() if line.strip()]
    if one.kind == "json":
        try:
            return json.loads(value)
        except ValueError as error:
            message = f"It is no JSON: {error}."
            raise ValidationError(
                f"`{one.name}`: {message}", ({"field": one.name, "message": message, "input": value},)
            ) from None
    return value


def _form_field(one: Field, default: Mapping[str, Any]) -> FormField:
    schema, allows_none = _schema_of(one.annotation)
    kind, choices = _kind(schema, allows_none=allows_none)
    start = default.get(one.name, one.default if one.has_default else None)
    return FormField(
        one.name,
        kind,
        one.annotation_text or type_text(one.annotation),
        one.description,
        is_required=not (one.has_default or allows_none),
        allows_none=allows_none,
        default=to_plain(start),
        choices=choices,
        minimum=_bound(schema, "minimum", "exclusiveMinimum", 1),
        maximum=_bound(schema, "maximum", "exclusiveMaximum", -1),
        is_whole=schema.get("type") == "integer",
    )


def _schema_of(annotation: Any) -> tuple[_Schema, bool]:
    """The JSON schema of a type without None, and whether None is a value of it; empty where there is none."""
    try:
        schema: dict[str, Any] = pydantic.TypeAdapter(annotation).json_schema()
    except (pydantic.errors.PydanticUserError, TypeError, NameError, RecursionError):
        return {}, False
    definitions = schema.get("$defs", {})
    options = [_resolved(part, definitions) for part in schema.get("anyOf", ())]
    others = [part for part in options if part.get("type") != "null"]
    if len(others) == 1 and len(options) == 2:
        return others[0], True
    return _resolved(schema, definitions), len(others) < len(options)


def _resolved(schema: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: dict[str, Any] = definitions.get(name, schema)
    return found


def _kind(schema: _Schema, *, allows_none: bool) -> tuple[FieldKind, tuple[Any, ...]]:
    kind = schema.get("type")
    if "enum" in schema:
        return "select", tuple(schema["enum"])
    if "const" in schema:
        return "select", (schema["const"],)
    if kind == "boolean":
        return ("select", (True, False)) if allows_none else ("checkbox", ())
    if kind in ("integer", "number"):
        return "number", ()
    if kind == "string":
        return "text", ()
    if kind == "array" and schema.get("items", {}).get("type") == "string":
        return "lines", ()
    return "json", ()


def _bound(schema: _Schema, closed: str, opened: str, step: int) -> float | None:
    """The bound that a number field can have; one that is open is a step further in for whole numbers."""
    if closed in schema:
        return float(schema[closed])
    if opened in schema and schema.get("type") == "integer":
        return float(schema[opened] + step)
    return None
