"""Output fields are seen while they grow, however the text is cut."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspex_lab.errors import LabError
from dspex_lab.signatures import FieldStream, compile_signature

Form = Literal["json", "chat"]
NAMES = ["answer", "score", "tags"]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.dictionaries(st.sampled_from([*NAMES, "other"]), JSON_VALUES, max_size=4)
PIECES = [
    *'{}[]",:\\ \n\r\tu0123dea#',
    *("[[ ## answer ## ]]", "[[ ## tags ## ]]", "[[ ## ", " ## ]]", "[[", '"answer": "', '{"tags": ['),
    *("\\u", "\\ud83d\\ude00", "\\ud83d", "\\", "é", "\u2028"),
]
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=20).map("".join)


def collected(text: str, cuts: list[int], form: Form) -> dict[str, str]:
    stream = FieldStream(NAMES, form)
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    found: dict[str, str] = {}
    for start, end in zip(places, [*places[1:], len(text)], strict=True):
        for name, piece in stream.feed(text[start:end]):
            assert piece
            found[name] = found.get(name, "") + piece
    for name, piece in stream.close():
        found[name] = found.get(name, "") + piece
    return found


CUTS = st.lists(st.integers(0, 120), max_size=12)


@settings(max_examples=300, deadline=None)
@given(record=RECORDS, cuts=CUTS, is_ascii=st.booleans(), indent=st.sampled_from([None, 2]))
def test_json_fields_are_their_values(
    record: dict[str, Any], cuts: list[int], is_ascii: bool, indent: int | None
) -> None:
    """Strings come out unescaped, other values as their JSON text, and nothing of other properties."""
    found = collected(json.dumps(record, ensure_ascii=is_ascii, indent=indent), cuts, "json")
    for name in NAMES:
        value = record.get(name, "")
        if isinstance(value, str):
            assert found.get(name, "").encode("utf-16", "surrogatepass") == value.encode("utf-16", "surrogatepass")
        else:
            assert json.loads(found[name]) == value
    assert found.keys() <= set(NAMES)


@settings(max_examples=400, deadline=None)
@given(text=HOSTILE, cuts=CUTS, form=st.sampled_from(["json", "chat"]))
def test_cutting_changes_nothing(text: str, cuts: list[int], form: Form) -> None:
    """The pieces of each field add up to the same for any cutting of any text."""
    assert collected(text, cuts, form) == collected(text, [], form)
    assert collected(text, list(range(len(text))), form) == collected(text, [], form)


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="[\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=30)


@settings(max_examples=200, deadline=None)
@given(values=st.tuples(WORDS, WORDS, WORDS), cuts=CUTS)
def test_chat_fields_are_what_the_parser_reads(values: tuple[str, str, str], cuts: list[int]) -> None:
    """What was streamed for a field is what the reply's parser gives for it in the end."""
    compiled = compile_signature("q -> answer, score, tags")
    text = "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in zip(NAMES, values, strict=True))
    wanted = compiled.prompt.parse_chat(text + "[[ ## completed ## ]]\n")
    found = collected(text + "[[ ## completed ## ]]\n", cuts, "chat")
    assert {name: found.get(name, "") for name in NAMES} == wanted


def test_text_comes_as_it_grows() -> None:
    """Each feed gives what it added, not what waits for the end."""
    stream = FieldStream(compile_signature("q -> answer, score: int"))
    assert stream.feed('{"ans') == []
    assert stream.feed('wer": "Par') == [("answer", "Par")]
    assert stream.feed("is\\u00") == [("answer", "is")]
    assert stream.feed('e9", "score": 1') == [("answer", "é"), ("score", "1")]
    assert stream.feed("2}") == [("score", "2")]
    assert stream.close() == []


def test_marker_is_never_shown() -> None:
    """The start of a chat marker is held back until it is one or is none."""
    stream = FieldStream(NAMES, "chat")
    stream.feed("[[ ## answer ## ]]\nParis\n")
    assert stream.feed("[[ ## ta") == []
    assert stream.feed("gs ## ]] x") == [("tags", "x")]
    assert stream.feed("\n[[ ##oops") == [("tags", "\n[[ ##oops")]


def test_closed_stream_takes_no_more() -> None:
    """Feeding after the end is a mistake; closing twice is none."""
    stream = FieldStream(NAMES)
    stream.close()
    assert stream.close() == []
    with pytest.raises(LabError):
        stream.feed("x")
