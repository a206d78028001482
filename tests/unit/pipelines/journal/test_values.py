"""Values in the journal: they come back as what they were, or are not written at all."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import pytest

from dspex_lab.calls import LmSpec
from dspex_lab.errors import ValidationError
from dspex_lab.pipelines import compile_plan, native, predict, when
from dspex_lab.pipelines.journal import values
from dspex_lab.pipelines.journal.classes import classes_of
from dspex_lab.pipelines.journal.values import read_value, write_value
from dspex_lab.pipelines.steps.step import Step


class Mood(enum.Enum):
    CALM = "calm"
    ANGRY = "angry"


@dataclasses.dataclass(frozen=True)
class Place:
    row: int
    mood: Mood


class Ticket(pydantic.BaseModel):
    text: str
    places: list[Place] = []


def make_ticket(text: str) -> Any:
    return Ticket(text=text)


def annotated(text: str) -> list[Ticket]:
    return [Ticket(text=text)]


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"a": [1, 2.5, "x", b"\0", True], "b": {"c": None}},
        {1: (2, 3), "s": {4}, "big": 2**80},
        datetime.datetime(2026, 11, 26, tzinfo=datetime.UTC),
        Mood.ANGRY,
        Place(3, Mood.CALM),
        Ticket(text="x", places=[Place(1, Mood.ANGRY)]),
    ],
    ids=repr,
)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    """Equal, and of the same type, however deep."""
    again = read_value(write_value(value, {Mood, Place, Ticket}), {Mood, Place, Ticket})
    assert again == value
    assert type(again) is type(value)


def test_arrays_and_tables_come_back() -> None:
    """Values, types and shapes."""
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    again = read_value(write_value({"array": array, "frame": frame}, ()), ())
    np.testing.assert_array_equal(again["array"], array)
    assert again["array"].dtype == array.dtype
    pd.testing.assert_frame_equal(again["frame"], frame)


@pytest.mark.parametrize(
    "value",
    [object(), lambda: 0, LmSpec("openai/x", api_key="sk-secret"), Mood.CALM, np.array([object()])],
    ids=["object", "function", "key", "class", "objects"],
)
def test_what_could_not_be_read_again_is_not_written(value: Any) -> None:
    """A class that the plan does not know is none that could be found later; a key is no value."""
    with pytest.raises(ValidationError):
        write_value(value, {Place})


def test_a_huge_value_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says where it belongs."""
    monkeypatch.setattr(values, "MAX_VALUE_BYTES", 10)
    with pytest.raises(ValidationError, match="are kept") as caught:
        write_value("x" * 100, ())
    assert "file" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("step", "known"),
    [
        (native(make_ticket), {Ticket, Place, Mood}),
        (native(annotated), {Ticket, Place, Mood}),
        (predict("text -> place: Place", namespace={"Place": Place}), {Place, Mood}),
        (when(lambda s: s.text == Mood.CALM, then=native(lambda text: text)), {Mood}),
        (native(lambda text: LmSpec(text)), set()),
    ],
    ids=["code", "annotation", "signature", "condition", "key"],
)
def test_a_plan_knows_the_classes_that_it_names(step: Step, known: set[type]) -> None:
    """In signatures, annotations and code, with those inside them; never a language model's settings."""
    assert classes_of(compile_plan("p", {"one": step})) == known
