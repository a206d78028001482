"""The fake language model's answers."""

from __future__ import annotations

from typing import Any

import pytest

from dspex_lab.signatures import compile_signature
from dspex_lab.testing.language_model import smallest_value, words


@pytest.mark.parametrize(
    "outputs",
    [
        "a: int, b: float, c: bool, d: str",
        "a: Literal['x', 'y'], b: list[int], c: dict[str, int]",
        "a: str | None, b: tuple[int, str], c: list[list[str]]",
    ],
)
def test_the_smallest_value_is_valid(outputs: str) -> None:
    """What is made for a signature's schema passes the signature's own validation."""
    compiled = compile_signature(f"question -> {outputs}")
    value = smallest_value(compiled.json_schema)
    assert compiled.validator.validate_outputs(value)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "exclusiveMaximum": 0}, -1),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, 0.5),
        ({"type": "string", "minLength": 6}, "textxx"),
        ({"type": "string", "maxLength": 2}, "te"),
        ({"type": "array", "items": {"const": 1}, "minItems": 2}, [1, 1]),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"enum": ["only"]}}}, "only"),
    ],
)
def test_bounds_are_kept(schema: dict[str, Any], value: object) -> None:
    """Bounds of numbers, texts and lists are respected."""
    assert smallest_value(schema) == value


def test_words_add_up() -> None:
    """The pieces of a text, joined, are the text."""
    text = " two  spaces\nand a line "
    assert "".join(words(text)) == text
    assert words("") == []
