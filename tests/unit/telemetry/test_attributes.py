"""The attribute filter: no secrets, no prompts where these are off, plain and bounded data always."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.calls import LmSpec, Usage
from dspex_lab.telemetry.attributes import (
    INPUT_MESSAGES,
    INPUT_TOKENS,
    INPUTS,
    OUTPUTS,
    REQUEST_MODEL,
    clean_attributes,
    clean_text,
)

SECRET = "sk-proj-abcdefghijklmnop1234567890"


@pytest.mark.parametrize(
    "key",
    [
        "api_key", "apiKey", "API-KEY", "OPENAI_API_KEY", "x-api-key", "Authorization", "authorisation",
        "http.request.header.authorization", "password", "db.password", "client_secret", "access_token", "accessToken",
        "token", "auth", "Set-Cookie", "aws_secret_access_key", "private_key", "credentials", "headers",
        "request.headers", "extra_headers",
    ],
)  # fmt: skip
def test_a_key_that_names_a_secret_goes_with_its_value(key: str) -> None:
    """Such a key is dropped at the top and at depth, in lists too."""
    dirty = {key: "x", "nested": {"list": [{key: "x", "kept": 1}]}}
    assert clean_attributes(dirty) == {"nested": {"list": [{"kept": 1}]}}


@pytest.mark.parametrize(
    "key", [INPUT_TOKENS, "max_tokens", "dspex.first_token_s", REQUEST_MODEL, "author", "tokens", "keyboard", "path"]
)
def test_a_harmless_key_stays(key: str) -> None:
    """Counts of tokens and the like are no secrets."""
    assert clean_attributes({key: 7}) == {key: 7}


@pytest.mark.parametrize(
    "text",
    [
        f"key is {SECRET}.",
        "Authorization: Bearer abcdefgh12345678",
        "authorization=Basic dXNlcjpwYXNz",
        "api_key='0123456789abcdef'",
        '{"api-key": "0123456789abcdef"}',
        "hf_abcdefghijklmnopqrstuvwxyz",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "AKIAABCDEFGHIJKLMNOP",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def_ghi",
        "postgres://user:hunter22@host/db",
    ],
)
def test_a_text_that_looks_like_a_secret_is_masked(text: str) -> None:
    """Known forms of keys are masked inside texts, wherever these stand."""
    cleaned = clean_text(text)
    assert "[redacted]" in cleaned
    for secret in (SECRET, "abcdefgh12345678", "dXNlcjpwYXNz", "0123456789abcdef", "hunter22"):
        assert secret not in cleaned


def test_ordinary_text_is_untouched() -> None:
    """A sentence about keys and tokens is not mangled."""
    text = "The bearer of the key: ask for a task-specific token, see https://example.org/a:b@c."
    assert clean_text(text) == text


def test_prompts_can_be_left_out() -> None:
    """With record_prompts off, messages, inputs and outputs are gone; counts and names stay."""
    dirty = {
        INPUT_MESSAGES: [{"role": "user", "content": "mine"}],
        INPUTS: {"question": "mine"},
        OUTPUTS: {"answer": "mine"},
        "text": "mine",
        "error": "could not parse: mine",
        INPUT_TOKENS: 3,
        "step": {"name": "a", "value": "mine"},
    }
    assert clean_attributes(dirty, record_prompts=False) == {INPUT_TOKENS: 3, "step": {"name": "a"}}


def test_an_errors_type_stays_where_prompts_are_off() -> None:
    """An error as a dict keeps its type and loses its message, which may quote an answer."""
    error = {"type": "ValidationError", "message": "bad: mine", "errors": ["mine"], "retryable": False}
    assert clean_attributes({"error": error}, record_prompts=False) == {
        "error": {"type": "ValidationError", "retryable": False}
    }


def test_a_dataclass_is_filtered_field_by_field() -> None:
    """A spec of a model loses its key; usage becomes a mapping."""
    cleaned = clean_attributes({"lm": LmSpec("openai/x", api_key=SECRET), "usage": Usage(1, 2)})
    assert "api_key" not in cleaned["lm"]
    assert cleaned["usage"] == {"input_tokens": 1, "output_tokens": 2, "cost": None, "lm_calls": 0}


def test_a_repr_that_raises_becomes_the_name_of_its_type() -> None:
    """A user's broken class does not break a span."""

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    assert clean_attributes({"thing": Broken()}) == {"thing": "<unprintable Broken>"}


class RaisingMapping(dict[str, Any]):
    """A user's mapping that cannot be looked into."""

    def items(self) -> Any:
        raise RuntimeError


@pytest.mark.parametrize("value", [10**5000, RaisingMapping(a=1)], ids=["a number of many digits", "a mapping"])
def test_what_cannot_be_shown_breaks_no_span(value: object) -> None:
    """Numbers that Python will not write down, and mappings that raise, are named by their type."""
    assert type(value).__name__ in clean_attributes({"thing": value})["thing"]


def test_large_values_are_cut() -> None:
    """A text, a list and a nesting of any size come out small."""
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"down": deep}
    cleaned = clean_attributes({"content": "x" * 1_000_000, "many": list(range(100_000)), "deep": deep})
    assert len(msgspec.json.encode(cleaned)) < 60_000


def test_many_small_collections_are_small_together() -> None:
    """A matrix as lists in a list is cut as well, and so is one list that stands in many places."""
    tangle: list[Any] = [0.5] * 1_000
    for _ in range(4):
        tangle = [tangle] * 1_000
    cleaned = clean_attributes({"outputs": [[0.5] * 1_000 for _ in range(1_000)], "tangle": tangle})
    assert len(msgspec.json.encode(cleaned)) < 1_000_000
    assert cleaned["outputs"][0] == [0.5] * 1_000
    assert cleaned["outputs"][-1] == "…"
    assert clean_attributes(cleaned) == cleaned


def test_a_cycle_ends() -> None:
    """A value that holds itself is cut by depth."""
    cycle: list[Any] = []
    cycle.append(cycle)
    assert msgspec.json.encode(clean_attributes({"cycle": cycle}))


@dataclass
class Anything:
    """A user's value."""

    inner: object = field(default_factory=object)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.builds(Anything) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), plain, max_size=5), st.booleans())
def test_whatever_goes_in_comes_out_as_json_and_stays_so(attributes: dict[str, Any], record_prompts: bool) -> None:
    """The result can always be encoded, and cleaning it again changes nothing."""
    cleaned = clean_attributes(attributes, record_prompts=record_prompts)
    encoded = msgspec.json.encode(cleaned)
    assert msgspec.json.encode(clean_attributes(cleaned, record_prompts=record_prompts)) == encoded
