"""Which types can flow into which."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from dspex_lab.pipelines.steps.fields import can_flow


class Team(enum.Enum):
    BILLING = "billing"


class Order(BaseModel):
    number: int


class LargeOrder(Order):
    weight: float


class Customer(BaseModel):
    name: str


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (str, str, True),
        (int, float, True),
        (bool, int, True),
        (str, int, False),
        (int, str, False),
        (float, int, False),
        (Any, int, True),
        (str, Any, True),
        (object, int, True),
        (str | None, str, True),
        (str | None, int, False),
        (str, int | str, True),
        (str, Optional[int], False),  # noqa: UP045 - the old form must be understood too
        (type(None), str, False),
        (None, str | None, True),
        (Literal["a", "b"], str, True),
        (Literal["a"], Literal["a", "b"], True),
        (Literal["a"], Literal["b"], False),
        (str, Literal["a"], True),
        (int, Literal["a"], False),
        (Annotated[int, Field(ge=1)], int, True),
        (Annotated[int, Field(ge=1)], str, False),
        (list[str], list[str], True),
        (list[str], list[int], False),
        (list[str], list, True),
        (list[str], tuple[str, ...], True),
        (list[str], str, False),
        (dict[str, int], dict[str, float], True),
        (dict[str, int], dict[str, str], False),
        (str, Team, True),
        (dict, Order, True),
        (LargeOrder, Order, True),
        (Order, LargeOrder, True),
        (Order, Customer, False),
        ("Unresolved", int, True),
    ],
)
def test_only_what_never_fits_is_refused(source: Any, target: Any, expected: bool) -> None:
    """A type flows into another unless no value of it ever could."""
    assert can_flow(source, target) is expected
