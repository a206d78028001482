"""Checks values against a signature with pydantic, on the way in and on the way out.

Coercions are those that a reader expects of a model's text: "4" is an int, "four" is none. Knows nothing of prompts.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, NotRequired

from pydantic import ConfigDict, TypeAdapter
from pydantic import ValidationError as PydanticValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError
from typing_extensions import TypedDict

from dspex_lab.errors import SignatureError, ValidationError
from dspex_lab.errors.nearest import nearest
from dspex_lab.signatures.types.field import Field, Signature
from dspex_lab.signatures.types.rebuild import allows_none

__all__ = ["Validator", "record_adapter"]

#: The functional form, which type checkers want to see with literal names only.
_make_record: Any = TypedDict
_INPUTS = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
_OUTPUTS = ConfigDict(extra="ignore", arbitrary_types_allowed=True, coerce_numbers_to_str=True)
_MAX_SHOWN = 200


class Validator:
    """Validates mappings of a signature's inputs and outputs. Built on first use, then about as quick as pydantic."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._defaults = {item.name: item.default for item in signature.inputs if item.has_default}
        self._field_adapters: dict[str, TypeAdapter[Any]] = {}
        self._output_names = tuple(item.name for item in signature.outputs)
        self._output_defaults = {item.name: item.default for item in signature.outputs if item.has_default}

    def with_defaults(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """``inputs`` as they were given, with defaults for those that are missing: what DSPy writes into a prompt."""
        return {**self._defaults, **inputs}

    def validate_inputs(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs with their types put right and defaults filled in.

        An input that was not declared with a type takes any value; one whose type allows None may be left out.
        Raises ValidationError with one entry for each fault; unknown names are faults.
        """
        given = self.with_defaults(values)
        try:
            found: dict[str, Any] = self._inputs.validate_python(given)
        except PydanticValidationError as error:
            raise self._error(error, self._signature.inputs, "inputs", given) from None
        return found

    def validate_outputs(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs with their types put right, in the signature's order; other keys are dropped.

        A missing output is its default, or None where its type allows that. Raises ValidationError with one entry for
        each fault, so that a retry can show the model what was wrong.
        """
        try:
            found: dict[str, Any] = self._outputs.validate_python(dict(values))
        except PydanticValidationError as error:
            raise self._error(error, self._signature.outputs, "outputs", values) from None
        if len(found) != len(self._signature.outputs):
            defaults = self._output_defaults
            return {name: found.get(name, defaults.get(name)) for name in self._output_names}
        return found

    def validate_field(self, name: str, value: Any) -> Any:
        """One field's value with its type put right: what a form checks while one types."""
        item = self._signature.field(name)
        adapter = self._field_adapters.get(name)
        if adapter is None:
            config = _INPUTS if item.is_input else _OUTPUTS
            adapter = self._field_adapters[name] = record_adapter(self._signature, (item,), config)
        try:
            return adapter.validate_python({name: value})[name]
        except PydanticValidationError as error:
            raise self._error(error, (item,), "inputs" if item.is_input else "outputs", {name: value}) from None

    def check(self) -> None:
        """Build what is needed, so that options and defaults that cannot work are found now. Raises SignatureError."""
        for item in self._signature.fields:
            if item.has_default:
                self._check_default(item)
        _ = self._inputs, self._outputs

    @cached_property
    def _inputs(self) -> TypeAdapter[Any]:
        return record_adapter(self._signature, self._signature.inputs, _INPUTS)

    @cached_property
    def _outputs(self) -> TypeAdapter[Any]:
        return record_adapter(self._signature, self._signature.outputs, _OUTPUTS)

    def _check_default(self, item: Field) -> None:
        try:
            record_adapter(self._signature, (item,), _INPUTS, is_strictly_required=True).validate_python(
                {item.name: item.default}
            )
        except PydanticValidationError as error:
            raise SignatureError(
                f"The default of `{item.name}` does not fit its type: {_sentence(error.errors()[0]['msg'])}",
                self._signature.text,
                item.name,
                line=item.line,
                column=item.column,
            ) from None

    def _error(
        self, error: PydanticValidationError, fields: tuple[Field, ...], side: str, values: Mapping[str, Any]
    ) -> ValidationError:
        names = [item.name for item in fields]
        faults = [_fault(entry, names) for entry in error.errors(include_url=False, include_context=False)]
        # Among inputs a name that is none is a fault of its own, with its own hint.
        asked = [fault for fault in faults if side == "outputs" or fault["kind"] != "missing"]
        hints = [hint for fault in asked if (hint := _hint(fault["kind"], fault["field"], names, values))]
        for fault in faults:
            del fault["kind"]
        first = f"`{faults[0]['field']}`: {faults[0]['message']}"
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return ValidationError(
            f"The {side} do not fit {self._signature.name}: {first}{more}",
            tuple(faults),
            hint=" ".join(dict.fromkeys(hints)) or None,
        )


def record_adapter(
    signature: Signature, fields: Iterable[Field], config: ConfigDict, *, is_strictly_required: bool = False
) -> TypeAdapter[Any]:
    """A pydantic adapter for a dict of ``fields``; SignatureError when one of their types or options cannot work."""
    fields = tuple(fields)
    try:
        return _build(fields, config, is_strictly_required=is_strictly_required)
    except (PydanticUserError, SchemaError, TypeError, NameError, RecursionError) as error:
        for item in fields:
            if len(fields) > 1:
                record_adapter(signature, (item,), config)
        item = fields[0]
        raise SignatureError(
            f"The type of `{item.name}` cannot be checked: {_sentence(str(error).splitlines()[0])}",
            signature.text,
            item.name,
            line=item.line,
            column=item.column,
        ) from error


def _build(fields: tuple[Field, ...], config: ConfigDict, *, is_strictly_required: bool) -> TypeAdapter[Any]:
    annotations: dict[str, Any] = {}
    for item in fields:
        annotation = Any if item.is_input and not item.annotation_text else item.annotation
        has_fallback = allows_none(annotation) or (item.has_default and not item.is_input)
        may_miss = has_fallback and not is_strictly_required
        annotations[item.name] = NotRequired.__getitem__(annotation) if may_miss else annotation
    record: Any = _make_record("Record", annotations)
    record.__pydantic_config__ = config
    return TypeAdapter(record)


def _fault(entry: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """One pydantic error as the house writes it; ``kind`` is dropped again by the caller."""
    location = [str(part) for part in entry["loc"]]
    field = location[0] if location else ""
    kind = entry["type"]
    if kind == "missing" and len(location) == 1:
        message = "It is missing."
    elif kind == "extra_forbidden" and field not in names:
        message = "There is no such field."
    else:
        message = _sentence(entry["msg"])
        path = [part for part in location[1:] if part.isidentifier() or part.isdigit()]
        if path:
            message = f"At {'.'.join(path)}: {message}"
    shown = None if kind == "missing" else _shown(entry["input"])
    return {"field": field, "message": message, "input": shown, "kind": kind}


def _hint(kind: str, field: str, names: list[str], values: Mapping[str, Any]) -> str | None:
    if kind == "extra_forbidden" and field not in names:
        guess = nearest(field, [name for name in names if name not in values]) or nearest(field, names)
        return f"Did you mean `{guess}` instead of `{field}`?" if guess else f"It takes {', '.join(names[:20])}."
    if kind == "missing" and field in names:
        guess = nearest(field, [str(name) for name in values if name not in names])
        return f"Did you mean `{field}` by `{guess}`?" if guess else None
    return None


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _shown(value: Any) -> Any:
    """``value`` if it is short plain data, else its repr cut short: an error must travel."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if len(value) <= _MAX_SHOWN else value[: _MAX_SHOWN - 1] + "…"
    shortener = reprlib.Repr()
    shortener.maxother = shortener.maxstring = _MAX_SHOWN
    return shortener.repr(value)
