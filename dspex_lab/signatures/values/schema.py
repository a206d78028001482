"""The JSON schema of a signature's outputs, in the strict form that constrained decoders and structured outputs take.

Every object lists all its properties as required and allows no others; the order of properties is that of the fields;
what llama.cpp's grammar converter or OpenAI's structured outputs would refuse is left out (validation still checks it).
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import CoreSchema

from dspex_lab.errors import SignatureError
from dspex_lab.signatures.types.field import Field, Signature
from dspex_lab.signatures.values.validator import record_adapter

__all__ = ["output_json_schema"]

_CONFIG = ConfigDict(arbitrary_types_allowed=True)
#: The keywords that decoders understand; the others would make some of them refuse the whole schema.
_KEPT = frozenset(
    [
        "type",
        "enum",
        "const",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "required",
        "additionalProperties",
        "$ref",
        "description",
    ]
)
_FORMATS = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"])


class _Generator(GenerateJsonSchema):
    """pydantic's own, without its warnings about defaults that have no JSON form."""

    def generate(self, schema: CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        self.ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}
        return super().generate(schema, mode)


def output_json_schema(signature: Signature) -> dict[str, Any]:
    """The schema of the object that holds all outputs. Raises SignatureError for a type that has no JSON form."""
    adapter = record_adapter(signature, signature.outputs, _CONFIG, is_strictly_required=True)
    try:
        raw = adapter.json_schema(schema_generator=_Generator)
    except PydanticInvalidForJsonSchema:
        raise _no_json_form(signature) from None
    strict: dict[str, Any] = _strict(raw)
    properties = strict["properties"]
    for item in signature.outputs:
        if item.description and "$ref" not in properties[item.name]:
            properties[item.name] = {**properties[item.name], "description": item.description}
    ordered = {item.name: properties[item.name] for item in signature.outputs}
    found = {"type": "object", "properties": ordered, "required": list(ordered), "additionalProperties": False}
    if "$defs" in strict:
        found["$defs"] = strict["$defs"]
    return found


def _no_json_form(signature: Signature) -> SignatureError:
    for item in signature.outputs:
        try:
            record_adapter(signature, (item,), _CONFIG).json_schema(schema_generator=_Generator)
        except PydanticInvalidForJsonSchema:
            return _error_for(item, signature)
    return SignatureError("The outputs have no JSON form.", signature.text)


def _error_for(item: Field, signature: Signature) -> SignatureError:
    return SignatureError(
        f"The output `{item.name}` has no JSON form.",
        signature.text,
        item.name,
        line=item.line,
        column=item.column,
        hint="Use plain types, enums, dataclasses or pydantic models for what a model must write.",
    )


def _strict(node: Any) -> Any:
    """``node`` in the strict form; goes through keywords that hold schemas, and leaves values alone."""
    if not isinstance(node, dict):
        return node
    found: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("properties", "$defs"):
            found[key] = {name: _strict(part) for name, part in value.items()}
        elif key in ("anyOf", "oneOf"):
            found["anyOf"] = [_strict(part) for part in value]
        elif key in ("allOf", "prefixItems"):
            found[key] = [_strict(part) for part in value]
        elif key in ("items", "additionalProperties"):
            found[key] = _strict(value)
        elif key == "pattern":
            _add_pattern(found, value)
        elif key in _KEPT or (key == "format" and value in _FORMATS) or (key == "multipleOf" and value == int(value)):
            found[key] = value
    if "properties" in found:
        found["required"] = list(found["properties"])
        found["additionalProperties"] = False
    if "$ref" in found:
        return {"$ref": found["$ref"]}
    return found


def _add_pattern(found: dict[str, Any], pattern: str) -> None:
    """Grammar converters want a pattern for the whole text, and know no look-around."""
    if "(?" in pattern:
        return
    start = pattern if pattern.startswith("^") else f"^.*{pattern}"
    found["pattern"] = start if pattern.endswith("$") and not pattern.endswith("\\$") else f"{start}.*$"
