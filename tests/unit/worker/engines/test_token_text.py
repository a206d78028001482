"""Tokens as text: nothing is lost, no half characters, nothing of a stop string."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.worker.engines.token_text import TokenText


def decode(tokens: list[int]) -> str:
    """A tokenizer whose tokens are bytes."""
    return bytes(tokens).decode("utf-8", "replace")


def pieces(text: str, *stops: str) -> tuple[list[str], TokenText]:
    reader = TokenText(decode, stops)
    found = [reader.feed(token) for token in text.encode()]
    return [*found, reader.close()], reader


@given(st.text(st.characters(exclude_characters="\ufffd", exclude_categories=["Cs"]), max_size=40))
def test_nothing_is_lost(text: str) -> None:
    """The pieces add up to the text, and none holds a half character."""
    found, _ = pieces(text)
    assert "".join(found) == text
    assert not any("\ufffd" in piece for piece in found)


@given(st.text("ab. ", max_size=30), st.lists(st.text("ab.", min_size=1, max_size=4), min_size=1, max_size=3))
def test_the_text_ends_before_the_first_stop(text: str, stops: list[str]) -> None:
    """What is given out is the text up to the stop string that is complete first."""
    ends = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
    wanted = text if not ends else text[: min(begin for end, begin in ends if end == min(ends)[0])]
    found, reader = pieces(text, *stops)
    assert "".join(found) == wanted
    assert reader.is_stopped == bool(ends)


def test_what_cannot_be_a_stop_is_given_out_at_once() -> None:
    """Only what could still become a stop string is held back."""
    reader = TokenText(decode, ["###"])
    assert [reader.feed(token) for token in b"ab#c##"] == ["a", "b", "", "#c", "", ""]
    assert reader.close() == "##"


def test_nothing_follows_a_stop() -> None:
    """Tokens after a stop string say nothing."""
    reader = TokenText(decode, ["."])
    assert [reader.feed(token) for token in b"a.b"] == ["a", "", ""]
    assert reader.close() == ""
