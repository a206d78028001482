"""Which control a type is asked for with: decided from its JSON schema. Pure; knows no form and no page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

import pydantic
from pydantic_core import PydanticOmit

from dspex_lab.signatures.form.form_field import Control, FieldKind
from dspex_lab.signatures.types.dspy_types import DspyType
from dspex_lab.signatures.types.rebuild import allows_none, without_metadata

__all__ = ["control_for"]

_Schema = Mapping[str, Any]

_TABLES = ".csv,.tsv,.json,.jsonl,.ndjson,.parquet"
#: The files of DSPy's types, as a browser is told which to offer.
_ACCEPT = {"Image": "image/*", "Audio": "audio/*", "File": "*/*"}
_TIMES: Mapping[str, FieldKind] = {"date": "date", "date-time": "datetime", "time": "time"}
_EXAMPLES: Mapping[str, Any] = {"string": "…", "integer": 0, "number": 0.0, "boolean": False, "null": None}
_MOST_DEPTH = 5


def control_for(annotation: Any) -> Control:
    """How a value of type ``annotation`` is asked for."""
    is_optional, kind = allows_none(annotation), _alone(annotation)
    if kind is Any:
        return Control("text", is_optional)
    if _is_frame(kind):
        return Control("table", is_optional, example='[{"column": 1}]', accept=_TABLES, file_form="frame")
    name = kind.dspy_name if isinstance(kind, type) and issubclass(kind, DspyType) else ""
    if name in _ACCEPT:
        return Control("file", is_optional, accept=_ACCEPT[name], file_form=name)
    if kind in (bytes, bytearray):
        return Control("file", is_optional, accept="*/*", file_form="bytes")
    schema, definitions, is_optional = _schema_of(annotation)
    found, choices = _kind(schema, definitions, is_optional=is_optional)
    is_table = found == "table"
    return Control(
        found,
        is_optional,
        choices,
        _bound(schema, "minimum", "exclusiveMinimum", 1),
        _bound(schema, "maximum", "exclusiveMaximum", -1),
        schema.get("type") == "integer",
        example=_example(schema, definitions) if found in ("json", "table") else "",
        accept=_TABLES if is_table else ".txt,.csv" if found == "lines" else "",
        file_form="rows" if is_table else "text" if found == "lines" else "",
    )


def _alone(annotation: Any) -> Any:
    """The type without what is around it: ``Annotated``, and None beside it."""
    bare = without_metadata(annotation)
    others = [part for part in get_args(bare) if part is not type(None)]
    return without_metadata(others[0]) if allows_none(bare) and len(others) == 1 else bare


def _is_frame(kind: Any) -> bool:
    """Whether it is a DataFrame, of whichever library that has its methods."""
    return isinstance(kind, type) and kind.__name__ == "DataFrame"


def _schema_of(annotation: Any) -> tuple[_Schema, _Schema, bool]:
    """The JSON schema of a type without None, its definitions, and whether None is a value of it; empty where there
    is none."""
    try:
        schema: dict[str, Any] = pydantic.TypeAdapter(annotation).json_schema()
    except (pydantic.errors.PydanticUserError, PydanticOmit, TypeError, NameError, RecursionError):
        return {}, {}, False
    definitions = schema.get("$defs", {})
    options = [_resolved(part, definitions) for part in schema.get("anyOf", ())]
    others = [part for part in options if part.get("type") != "null"]
    if len(others) == 1 and len(options) == 2:
        return others[0], definitions, True
    return _resolved(schema, definitions), definitions, len(others) < len(options)


def _resolved(schema: Any, definitions: _Schema) -> dict[str, Any]:
    if not isinstance(schema, dict):
        return {}
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: dict[str, Any] = definitions.get(name, schema)
    return found


def _kind(schema: _Schema, definitions: _Schema, *, is_optional: bool) -> tuple[FieldKind, tuple[Any, ...]]:
    kind, choices = schema.get("type"), _choices(schema)
    if choices:
        return "select", choices
    if kind == "boolean":
        return ("select", (True, False)) if is_optional else ("checkbox", ())
    if kind in ("integer", "number"):
        return "number", ()
    if kind == "string":
        return _TIMES.get(str(schema.get("format")), "text"), ()
    if kind == "array" and "prefixItems" not in schema:
        items = _resolved(schema.get("items"), definitions)
        if _choices(items) and not is_optional:
            return "many", _choices(items)
        if items.get("type") == "string" and not _choices(items):
            return "lines", ()
        if items.get("type") == "object":
            return "table", ()
    return "json", ()


def _choices(schema: _Schema) -> tuple[Any, ...]:
    if "enum" in schema:
        return tuple(schema["enum"])
    return (schema["const"],) if "const" in schema else ()


def _bound(schema: _Schema, closed: str, opened: str, step: int) -> float | None:
    """The bound that a number field can have; one that is open is a step further in for whole numbers."""
    if closed in schema:
        return float(schema[closed])
    if opened in schema and schema.get("type") == "integer":
        return float(schema[opened] + step)
    return None


def _example(schema: _Schema, definitions: _Schema) -> str:
    """A value of the type, as JSON that shows how it is written."""
    made = _made(schema, definitions, 0)
    return "" if made is None else json.dumps(made, ensure_ascii=False)


def _made(schema: _Schema, definitions: _Schema, depth: int) -> Any:
    schema = _resolved(schema, definitions)
    if depth > _MOST_DEPTH:
        return None
    if "default" in schema:
        return schema["default"]
    if _choices(schema):
        return _choices(schema)[0]
    if "anyOf" in schema:
        return _made(schema["anyOf"][0], definitions, depth + 1)
    kind = schema.get("type")
    if kind == "object":
        parts = schema.get("properties", {})
        if not parts and isinstance(schema.get("additionalProperties"), dict):
            return {"…": _made(schema["additionalProperties"], definitions, depth + 1)}
        return {name: _made(part, definitions, depth + 1) for name, part in parts.items()}
    if kind == "array":
        if "prefixItems" in schema:
            return [_made(part, definitions, depth + 1) for part in schema["prefixItems"]]
        return [_made(schema["items"], definitions, depth + 1)] if schema.get("items") else []
    return _EXAMPLES.get(str(kind))
