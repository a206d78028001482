"""The corpus of real signature strings, and the classes that some of them name."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic
import pytest

CORPUS: list[str] = [
    line for line in (Path(__file__).parent / "corpus.txt").read_text().split("\n") if line and not line.startswith("#")
]


class Answer(pydantic.BaseModel):
    value: str
    confidence: float
    sources: list[str]


class CustomType(pydantic.BaseModel):
    value: str


class Input(pydantic.BaseModel):
    context: str
    query: str


class Output(pydantic.BaseModel):
    answer: str
    confidence: float = pydantic.Field(ge=0, le=1)


@dataclass
class Item:
    name: str
    price: float = 0.0


class Person(pydantic.BaseModel):
    name: str
    age: int | None = None


class QueryResult(pydantic.BaseModel):
    text: str
    score: float


class Mood(enum.Enum):
    CALM = "calm"
    ANGRY = "angry"


CLASSES: dict[str, type] = {
    kind.__name__: kind for kind in (Answer, CustomType, Input, Item, Mood, Output, Person, QueryResult)
}


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    """Real signature strings; a test goes through all of them, for each test has a price of its own here."""
    return CORPUS


@pytest.fixture(scope="session")
def classes() -> dict[str, type]:
    """The user classes that the corpus names."""
    return CLASSES


@pytest.fixture(scope="session")
def dspy_signature() -> Callable[..., Any]:
    """DSPy's own reading of a signature string."""
    import dspy

    def read(text: str, instructions: str | None = None) -> Any:
        return dspy.Signature(text, instructions, custom_types={**CLASSES, "dspy": dspy, "datetime": datetime})

    return read
