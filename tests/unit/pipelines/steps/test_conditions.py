"""What a condition reads, seen without calling it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dspex_lab.pipelines.steps.conditions import fields_read


def by_name(s: Any) -> bool:
    return bool(s.urgency >= 4 and s.category == "billing")


def through_another(s: Any) -> bool:
    return by_name(s)


def in_a_closure(s: Any) -> bool:
    return any(s.urgency > limit for limit in (1, 2))


LIMIT = 4


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (lambda s: s.urgency >= 4, ("urgency",)),
        (lambda s: s["urgency"] >= 4, ("urgency",)),
        (lambda s: s.urgency > 1 and s.urgency < LIMIT and not s.mood, ("urgency", "mood")),
        (lambda s: s.text.startswith("x"), ("text",)),
        (lambda s: len(s.text) > 2, ("text",)),
        (lambda s: True, ()),
        (by_name, ("urgency", "category")),
        (through_another, None),
        (in_a_closure, None),
        (lambda s: s, None),
        (lambda s: s.get("urgency"), None),
        (lambda s: s[LIMIT], None),
        (lambda *s: s[0].urgency, None),
        (bool, None),
    ],
)
def test_the_fields_that_a_condition_reads(condition: Callable[[Any], Any], expected: tuple[str, ...] | None) -> None:
    """Attributes and items of the argument are seen; where the argument goes elsewhere, that is said."""
    assert fields_read(condition) == expected
