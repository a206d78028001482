"""Completions inside a ``%%signature`` cell."""

from __future__ import annotations

import pytest

from dspex_lab.signatures import completions


def at(text: str, **namespace: object) -> list[str]:
    """Completions at the ``|`` in ``text``."""
    return completions(text.replace("|", ""), text.index("|"), namespace=namespace)


def test_types_behind_a_colon() -> None:
    """Known types that begin with the word are offered, common ones first."""
    assert at("urgency: li|")[:2] == ["list", "Literal"]


def test_everyday_types_come_first() -> None:
    """Without a word the types that most people want lead the list."""
    assert at("x: |")[:3] == ["str", "int", "float"]


def test_users_classes_are_offered() -> None:
    """Classes of the namespace are types too; other values are not."""
    assert at("x: list[Tic|", Ticket=type("Ticket", (), {}), Tick=3) == ["Ticket"]


def test_options_inside_field() -> None:
    """Inside ``Field(...)`` its options are offered with their equals sign."""
    assert sorted(at("x: Annotated[int, Field(ge=1, l|")) == ["le=", "lt="]


def test_members_of_dspy() -> None:
    """Behind ``dspy.`` DSPy's types are offered."""
    assert at("x: dspy.Im|") == ["dspy.Image"]


@pytest.mark.parametrize("text", ["na|", "x: str  # wo|", '"""Sort i|', "|", "a, b|"])
def test_nothing_where_no_type_belongs(text: str) -> None:
    """Names, comments and instructions are the user's own words."""
    assert at(text) == []


@pytest.mark.parametrize("cursor", [-5, 0, 3, 100])
def test_any_cursor_is_fine(cursor: int) -> None:
    """A cursor outside the text is no mistake."""
    assert isinstance(completions("x: s", cursor), list)
