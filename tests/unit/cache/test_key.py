"""Content keys: the same for the same content, in every process, and different for what differs."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.cache import content_key
from dspex_lab.calls import LmSpec
from dspex_lab.errors import ValidationError


class Colour(enum.Enum):
    """A user's enum."""

    RED = 1
    BLUE = 2


class Ticket(pydantic.BaseModel):
    """A user's model."""

    text: str
    level: int = 1


@dataclasses.dataclass(frozen=True)
class Point:
    """A user's dataclass."""

    x: int
    y: int


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def shuffled(value: Any) -> Any:
    """The same content, every mapping in the opposite order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(values)
def test_the_order_of_a_mapping_does_not_matter(value: Any) -> None:
    """At any depth."""
    assert content_key(value) == content_key(shuffled(value))


def canonical(value: Any) -> Any:
    """A form of plain data that is equal just where the content is."""
    if isinstance(value, dict):
        return ("dict", frozenset((key, canonical(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("list", tuple(canonical(item) for item in value))
    return (type(value).__name__, repr(value))


@given(values, values)
def test_different_content_has_different_keys(one: Any, other: Any) -> None:
    """And equal content equal ones."""
    assert (content_key(one) == content_key(other)) == (canonical(one) == canonical(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1,), (1.0,)),
        ((1,), (True,)),
        (("1",), (1,)),
        (("a", "b"), ("ab",)),
        ((["a"],), ("a",)),
        (({},), ([],)),
        ((["map"],), ({},)),
        ((b"a",), ("a",)),
        (({1, 2},), ([1, 2],)),
        ((Colour.RED,), (Colour.BLUE,)),
        ((Point(1, 2),), (Point(2, 1),)),
        ((Point(1, 2),), ({"x": 1, "y": 2},)),
        ((Ticket(text="a"),), (Ticket(text="b"),)),
        ((decimal.Decimal("1.0"),), (decimal.Decimal(1),)),
        ((2**70,), (str(2**70),)),
        (("\ud800",), ("\ud801",)),
        ((np.zeros(2),), (np.zeros((2, 1)),)),
        ((np.zeros(2, np.int64),), (np.zeros(2, np.float64),)),
        ((LmSpec("a/b"),), (LmSpec("a/b", temperature=0.5),)),
    ],
)
def test_what_differs_is_kept_apart(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    """Types, borders between parts, and user's own types are told apart."""
    assert content_key(*one) != content_key(*other)


def test_what_is_equal_has_one_key() -> None:
    """A list and a tuple, a set in any order, two equal dataclasses, dates."""
    assert content_key([1, 2]) == content_key((1, 2))
    assert content_key({"a", "b", "c"}) == content_key(frozenset(["c", "b", "a"]))
    assert content_key(Point(1, 2), Ticket(text="x")) == content_key(Point(1, 2), Ticket(text="x"))
    assert content_key(datetime.date(2026, 1, 2), Path("/a")) == content_key(datetime.date(2026, 1, 2), Path("/a"))


def test_another_process_gives_the_same_key() -> None:
    """Whatever the seed of its hashes; this very key is what files on disk hold."""
    code = (
        "import sys; from dspex_lab.cache import content_key;"
        "sys.stdout.write(content_key('predict', {'b': {'z', 'y', 'x'}, 'a': [1, 2.5, None, 'é']}))"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True, timeout=60
        ).stdout.decode()
        for seed in ("1", "2")
    }
    assert keys == {content_key("predict", {"a": [1, 2.5, None, "é"], "b": {"x", "y", "z"}})}
    assert keys == {"ac90fda52daf7ee9388ca1d057621c47"}


@pytest.mark.parametrize("value", [object(), lambda: None, Point, sys.stdout, Colour])
def test_what_has_no_content_is_an_error(value: Any) -> None:
    """A function's or an object's address never becomes a key."""
    with pytest.raises(ValidationError, match="has no content"):
        content_key({"x": [value]})


def test_what_holds_itself_is_an_error() -> None:
    """A cycle ends in an error, not in a hang."""
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(ValidationError, match="nested too deeply"):
        content_key(cycle)
