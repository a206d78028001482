"""Values as plain data and back."""

from __future__ import annotations

import datetime
import enum
import json
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspex_lab.errors import ValidationError
from dspex_lab.signatures import from_wire, register_wire_type, to_plain, to_wire


class Mood(enum.Enum):
    CALM = "calm"
    ANGRY = ("a", 1)


class Level(enum.IntEnum):
    LOW = 1


@dataclass(frozen=True)
class Point:
    x: int
    when: datetime.date
    label: str = field(default="", init=False)


class Person(pydantic.BaseModel):
    name: str
    points: list[Point] = []
    mood: Mood | None = None


class Own:
    """Knows its own plain form."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def to_wire(self) -> Any:
        return self.text

    @classmethod
    def from_wire(cls, data: Any) -> Own:
        return cls(data)


CLASSES = (Mood, Level, Point, Person, Own)
HASHABLE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(),
    st.datetimes(timezones=st.none() | st.just(datetime.UTC)), st.dates(), st.times(), st.timedeltas(),
    st.decimals(allow_nan=False), st.fractions(), st.uuids(), st.sampled_from([*Mood, *Level]),
    st.complex_numbers(allow_nan=False), st.builds(Point, st.integers(), st.dates()), st.text().map(Own),
    st.just(Path("a/b")),
)  # fmt: skip
VALUES = st.recursive(
    HASHABLE | st.builds(Person, name=st.text(), mood=st.none() | st.sampled_from(Mood)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text() | st.just("$type"), inner, max_size=3),
        st.dictionaries(HASHABLE, inner, max_size=2),
        st.sets(HASHABLE, max_size=3),
        st.frozensets(HASHABLE, max_size=3),
    ),
    max_leaves=8,
)


def same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_round_trip(value: Any) -> None:
    """What was written is read back as the same value of the same type, also through msgpack."""
    data = msgspec.msgpack.decode(msgspec.msgpack.encode(to_wire(value)))
    assert same(from_wire(data, classes=CLASSES), value)


@pytest.mark.parametrize("bits", [64, 4_095, 4_096, 20_000])
def test_numbers_of_any_length_travel(bits: int) -> None:
    """Also those that Python does not write down in decimals."""
    for value in (2**bits, -(2**bits)):
        assert from_wire(to_wire(value)) == value


@settings(max_examples=200, deadline=None)
@given(st.recursive(HASHABLE.filter(lambda value: not isinstance(value, bytes)), lambda inner: st.lists(inner)))
def test_natural_form_is_json(value: Any) -> None:
    """The natural form of everything but bytes is what JSON holds."""
    assert json.dumps(to_plain(value)) is not None


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Mood.CALM, "calm"),
        (Level.LOW, 1),
        (datetime.date(2024, 2, 28), "2024-02-28"),
        (datetime.timedelta(minutes=1), 60.0),
        (Decimal("1.50"), "1.50"),
        (Fraction(1, 3), "1/3"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ((1, {2}), [1, [2]]),
        ({1: Mood.CALM}, {"1": "calm"}),
        (Person(name="x"), {"name": "x", "points": [], "mood": None}),
        (Point(1, datetime.date(2024, 1, 1)), {"x": 1, "when": "2024-01-01", "label": ""}),
        (Own("t"), "t"),
        (np.int64(3), 3),
    ],
)
def test_natural_form(value: Any, plain: Any) -> None:
    """The natural form is what one would write by hand."""
    assert to_plain(value) == plain


def test_arrays_and_tables_pass_untouched() -> None:
    """The wire's codec carries them, so they are left as they are."""
    array, table = np.arange(3), pd.DataFrame({"a": [1]})
    wire = to_wire({"array": array, "table": table, "scalar": np.float32(0.5)})
    assert wire["array"] is array
    assert wire["table"] is table
    assert same(wire["scalar"], 0.5)


class Odd:
    def __init__(self, text: str) -> None:
        self.text = text


def test_unknown_type_says_how_to_register_it() -> None:
    """A class that nobody registered is an error with the line that helps."""
    with pytest.raises(ValidationError) as caught:
        to_wire([Odd("x")])
    assert "register_wire_type(Odd" in (caught.value.hint or "")


def test_registered_type_travels() -> None:
    """Two functions make any class travel."""

    class Late(Odd):
        pass

    register_wire_type(Late, to_wire=lambda value: value.text, from_wire=Late)
    again = from_wire(to_wire({"k": Late("x")}))
    assert isinstance(again["k"], Late)
    assert again["k"].text == "x"


def test_type_that_cannot_be_registered_alone_is_refused() -> None:
    """A class that does not explain itself needs its two functions."""
    with pytest.raises(ValidationError, match="two functions"):
        register_wire_type(Odd)
    with pytest.raises(ValidationError, match="by its class"):
        register_wire_type(Odd("x"))


@pytest.mark.parametrize(
    "data",
    [
        {"$type": "builtins:eval", "value": "1"},
        {"$type": "os:system", "value": "true"},
        {"$type": ["x"], "value": 1},
        {"$type": "date", "value": "yesterday"},
        {"$type": "dict", "value": 3},
        {"$type": "complex"},
        {"$type": f"{__name__}:Mood", "value": "CALM"},
    ],
)
def test_hostile_data_is_refused(data: Any) -> None:
    """Data names only classes that were given; nothing is looked up, imported or called for it."""
    with pytest.raises(ValidationError):
        from_wire(data)


def test_value_that_contains_itself_is_refused() -> None:
    """A cycle is an error, not a crash."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValidationError, match="contains itself"):
        to_wire(loop)
