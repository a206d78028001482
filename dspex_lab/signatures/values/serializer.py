"""Values of a signature as plain data and back, by the fields' own types.

Plain data is None, bool, int, float, str, bytes, lists and dicts with string keys; arrays and tables pass untouched,
for the wire carries them in buffers of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dspex_lab.signatures.types.field import Signature
from dspex_lab.signatures.values.validator import Validator
from dspex_lab.signatures.values.wire_types import to_plain

__all__ = ["Serializer"]


class Serializer:
    """Turns a signature's values into plain data, and plain data into the values that the signature declares."""

    def __init__(self, signature: Signature, validator: Validator) -> None:
        self._inputs = frozenset(item.name for item in signature.inputs)
        self._validator = validator

    def dump(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """``values`` (inputs, outputs or both) as plain data."""
        return {name: to_plain(value) for name, value in values.items()}

    def load_inputs(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Plain data as validated inputs."""
        return self._validator.validate_inputs(data)

    def load_outputs(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Plain data as validated outputs."""
        return self._validator.validate_outputs(data)

    def load(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The inverse of :meth:`dump` for any mixture of fields, each checked by its own type."""
        return {name: self._validator.validate_field(name, value) for name, value in data.items()}
