"""Tab in a ``%%pipeline`` cell: the words of a step, the fields of those before it, the options of a call."""

from __future__ import annotations

import pytest

from dspex_lab.magics.completion import complete

BEFORE = """%%pipeline support
triage = predict("ticket -> category: Literal['a', 'b'], urgency: int")
both = parallel(
    summary = chain_of_thought("ticket -> summary"),
    mood = predict("ticket -> mood", lm="local/x"),
)
"""


def words(last: str, before: str = BEFORE) -> set[str]:
    text = before + last
    return set(complete(text, len(text), {}).words)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("reply = when(lambda s: s.", {"triage", "category", "urgency", "both", "summary", "mood"}),
        ("reply = when(lambda s: s.urgency > 3 and s.ca", {"category"}),
        ('reply = predict("su', {"summary"}),
        ('reply = predict("summary, mo', {"mood"}),
        ("reply = chain_of_thought('summary, mood", {"mood"}),
        ("reply = pre", {"predict"}),
    ],
)
def test_fields_and_steps_so_far(line: str, expected: set[str]) -> None:
    """In a condition, on the left of a signature, and where a step stands."""
    assert words(line) == expected


@pytest.mark.parametrize(
    ("line", "some", "none"),
    [
        (
            'reply = predict("summary -> reply", ',
            {"lm=", "timeout_s=", "optional=", "demos="},
            {"tools=", "namespace="},
        ),
        ('reply = predict("summary -> reply", op', {"optional="}, {"lm="}),
        ('reply = react("summary -> reply", too', {"tools="}, set()),
        ('rows = each(predict("item -> row"), ', {"over=", "item=", "concurrency="}, {"lm="}),
        ("reply = native(shout, wr", {"writes="}, set()),
        ('more = parallel(\n    x = predict("summary -> x", ti', {"timeout_s="}, set()),
    ],
)
def test_the_options_of_the_call(line: str, some: set[str], none: set[str]) -> None:
    """Those of its kind, also over several lines, and no others."""
    found = words(line)
    assert some <= found
    assert not none & found


@pytest.mark.parametrize("line", ['reply = predict("summary -> re', "# predict(", 'x = "pre'])
def test_where_nothing_is_known_nothing_is_offered(line: str) -> None:
    """A new name is the user's to choose; comments and texts are no place for steps."""
    assert words(line) == set()
