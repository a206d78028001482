"""The outputs' JSON schema is strict and in order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from dspex_lab.errors import SignatureError
from dspex_lab.signatures import compile_signature

CELL = """
q
->
zeta: Literal["b", "a"]                        # a choice
alpha: Annotated[int, Field(ge=1, le=5)]
person: Person
items: Annotated[list[Item], Field(min_length=1)]
note: str | None
code: Annotated[str, Field(pattern="[a-z]+")]
odd: Annotated[str, Field(description="words", title="T", examples=["x"])]
when: datetime
"""


def objects(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "properties" in node and "type" in node:
            yield node
        for part in node.values():
            yield from objects(part)
    elif isinstance(node, list):
        for part in node:
            yield from objects(part)


def test_properties_follow_the_fields(classes: Mapping[str, type]) -> None:
    """The order of properties is the order of the fields: decoders write them so."""
    schema = compile_signature(CELL, namespace=classes).json_schema
    assert list(schema["properties"]) == ["zeta", "alpha", "person", "items", "note", "code", "odd", "when"]
    assert list(schema["properties"]["zeta"]["enum"]) == ["b", "a"]


def test_every_object_is_strict(corpus: list[str], classes: Mapping[str, type]) -> None:
    """All properties are required and no others are allowed, in nested objects too."""
    for corpus_text in corpus:
        schema = compile_signature(corpus_text, namespace=classes).json_schema
        found = list(objects(schema))
        assert found, corpus_text
        assert all(node["required"] == list(node["properties"]) for node in found), corpus_text
        assert all(node["additionalProperties"] is False for node in found), corpus_text
        assert json.loads(json.dumps(schema)) == schema, corpus_text


def test_constraints_and_descriptions_are_there(classes: Mapping[str, type]) -> None:
    """What a decoder can hold to is in the schema; what it would refuse is not."""
    properties = compile_signature(CELL, namespace=classes).json_schema["properties"]
    assert properties["alpha"] == {"type": "integer", "minimum": 1, "maximum": 5}
    assert properties["zeta"]["description"] == "a choice"
    assert properties["items"]["minItems"] == 1
    assert properties["code"]["pattern"] == "^.*[a-z]+.*$"
    assert properties["odd"] == {"type": "string", "description": "words"}
    assert properties["when"] == {"type": "string", "format": "date-time"}


@pytest.mark.parametrize("kind", ["Decimal", "UUID", "dict[Mood, int]", "set[int]", "Any", "dspy.Code", "bytes | None"])
def test_unusual_types_have_a_schema(kind: str, classes: Mapping[str, type]) -> None:
    """Keywords that converters refuse (look-around, unique items, property names) are left out."""
    text = json.dumps(compile_signature(f"a -> b: {kind}", namespace=classes).json_schema)
    assert not any(word in text for word in ("(?", "uniqueItems", "propertyNames", "title"))


def test_type_without_json_form_is_told() -> None:
    """An output that no model can write is an error that names it."""

    class Opaque:
        pass

    with pytest.raises(SignatureError, match="`b` has no JSON form") as caught:
        _ = compile_signature("a -> b: Opaque", namespace={"Opaque": Opaque}).json_schema
    assert caught.value.column == 6


def test_schema_is_a_grammar_for_the_local_engine(corpus: list[str], classes: Mapping[str, type]) -> None:
    """llama.cpp's converter takes the schema of every real string."""
    xllamacpp = pytest.importorskip("xllamacpp")
    for corpus_text in corpus:
        schema = compile_signature(corpus_text, namespace=classes).json_schema
        assert xllamacpp.json_schema_to_grammar(json.dumps(schema)), corpus_text
