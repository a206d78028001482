"""A schema with bounds, and the end of a JSON object in a stream."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.worker.engines.bounds import JsonEnd, bounded_schema

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def _schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def test_an_open_string_gets_a_length() -> None:
    """A string that could go on for ever cannot."""
    bounded = bounded_schema(_schema(a={"type": "string"}), max_chars=1500)
    assert bounded["properties"]["a"]["maxLength"] == 600


def test_strings_share_the_room() -> None:
    """Many strings get less each, so that all of them fit."""
    bounded = bounded_schema(_schema(**{name: {"type": "string"} for name in "abcdef"}), max_chars=1500)
    assert {part["maxLength"] for part in bounded["properties"].values()} == {250}


def test_what_the_user_bounded_stays() -> None:
    """A maximum length, choices and formats of the user's own are not touched."""
    given_schema = _schema(
        a={"type": "string", "maxLength": 3000},
        b={"type": "string", "enum": ["x"]},
        c={"type": "string", "format": "date"},
    )
    assert bounded_schema(given_schema, max_chars=100) == given_schema


def test_a_list_gets_a_number_of_items() -> None:
    """Lists end too, but never below the least number that was asked for."""
    bounded = bounded_schema(
        _schema(a={"type": "array", "items": {"type": "integer"}}, b={"type": "array", "minItems": 20}), max_chars=100
    )
    assert bounded["properties"]["a"]["maxItems"] == 8
    assert bounded["properties"]["b"]["maxItems"] == 20


def test_a_pattern_that_the_grammar_does_not_take_is_left_out() -> None:
    """llama.cpp prints a warning for a pattern without anchors; an anchored one is kept."""
    bounded = bounded_schema(
        _schema(a={"type": "string", "pattern": "[0-9]"}, b={"type": "string", "pattern": "^[0-9]+$"}), max_chars=300
    )
    assert "pattern" not in bounded["properties"]["a"]
    assert bounded["properties"]["b"]["pattern"] == "^[0-9]+$"


def test_the_given_schema_is_not_changed() -> None:
    """The bounds are put into a copy."""
    schema = _schema(a={"type": "string"})
    bounded_schema(schema, max_chars=100)
    assert schema == _schema(a={"type": "string"})


@given(st.dictionaries(st.text(), JSON, max_size=5), st.integers(1, 7), st.text(alphabet=" \n\t", max_size=5))
def test_the_end_is_found_however_the_text_is_cut(value: dict[str, Any], size: int, after: str) -> None:
    """What is kept is the object, whole and without what follows, for every cut."""
    text = json.dumps(value)
    end = JsonEnd()
    stream = text + after
    kept = "".join(end.feed(stream[start : start + size]) for start in range(0, len(stream), size))
    assert kept == text
    assert end.is_complete


@given(st.dictionaries(st.text(), JSON, min_size=1, max_size=4))
def test_an_unfinished_object_is_not_complete(value: dict[str, Any]) -> None:
    """Without its last brace an object is not taken for whole."""
    end = JsonEnd()
    end.feed(json.dumps(value)[:-1])
    assert not end.is_complete
