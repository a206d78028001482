"""What the cell form and the string form say."""

from __future__ import annotations

import datetime
import enum
import types
from typing import Any, Literal, get_args

import pytest

from dspex_lab.signatures import MISSING, Field, Signature, lint, parse_signature

CELL = '''
"""Route a support ticket
to the right team."""
ticket: str                                    # the customer's words

# a line of its own speaks of no field
language: str = "en"
->
category: Literal["billing", "bug", "feature"]
urgency: Annotated[int, Field(ge=1, le=5)]     # 5 is drop everything
parts: dict[
    str,       # the name
    int,       # how many
]
reply: str | None = Field(desc="what to say")
'''


class Mood(enum.Enum):
    CALM = "calm"


def field(text: str, name: str = "x", **namespace: Any) -> Field:
    return parse_signature(text, namespace=namespace).field(name)


def test_cell_sides_and_order() -> None:
    """Lines before the arrow are inputs, lines behind it outputs, in their order."""
    signature = parse_signature(CELL, name="Triage")
    assert [item.name for item in signature.inputs] == ["ticket", "language"]
    assert [item.name for item in signature.outputs] == ["category", "urgency", "parts", "reply"]
    assert (signature.name, signature.form) == ("Triage", "cell")


def test_docstring_becomes_instructions() -> None:
    """A leading string is the instructions, with its indentation cleaned."""
    assert parse_signature(CELL).instructions == "Route a support ticket\nto the right team."


def test_default_instructions_are_dspys() -> None:
    """Without a string the instructions name the fields."""
    assert parse_signature("a, b -> c").instructions == "Given the fields `a`, `b`, produce the fields `c`."


def test_comments_describe_fields() -> None:
    """A comment on a field's lines describes it, a comment on its own line does not; ``desc`` says it too."""
    told = {item.name: item.description for item in parse_signature(CELL)}
    assert told == {
        "ticket": "the customer's words",
        "language": "",
        "category": "",
        "urgency": "5 is drop everything",
        "parts": "the name how many",
        "reply": "what to say",
    }


def test_places_count_from_one_in_the_users_text() -> None:
    """Each field knows its line and column."""
    urgency = parse_signature(CELL).field("urgency")
    assert (urgency.line, urgency.column) == (10, 1)


def test_constraints_are_kept_in_annotated() -> None:
    """``Field`` options end up in the annotation and, in a cell, in the sentence for the model."""
    urgency = parse_signature(CELL).field("urgency")
    assert get_args(urgency.annotation)[0] is int
    assert urgency.constraints == "greater than or equal to: 1, less than or equal to: 5"


@pytest.mark.parametrize(
    ("text", "default"),
    [
        ("x: int = 3 -> y", 3),
        ("x = -1.5 -> y", -1.5),
        ("x: list[int] = [1, 2] -> y", [1, 2]),
        ("x: dict = {'a': (1, None)} -> y", {"a": (1, None)}),
        ("x: int = Field(default=4, ge=1) -> y", 4),
        ("x: int = Field(5) -> y", 5),
        ("x: int = Field(...) -> y", MISSING),
        ("x: Mood = Mood.CALM -> y", Mood.CALM),
        ("x -> y", MISSING),
    ],
)
def test_defaults(text: str, default: Any) -> None:
    """Plain values and members of enums can be defaults of inputs."""
    assert field(text, Mood=Mood).default == default


@pytest.mark.parametrize(
    ("text", "annotation"),
    [
        ("x: 'int' -> y", int),
        ("x: datetime.date -> y", datetime.date),
        ("x: date -> y", datetime.date),
        ("x: None | int -> y", int | None),
        ("x: Literal[-1, Mood.CALM] -> y", Literal[-1, Mood.CALM]),
        ("x: models.Mood -> y", Mood),
        ("x: list['Mood'] -> y", list[Mood]),
        ("x: Alias -> y", list[Mood]),
    ],
)
def test_types_that_dspys_strings_do_not_know(text: str, annotation: Any) -> None:
    """Quoted names, bare dates, negative choices, members, modules and aliases of the user's resolve."""
    models = types.ModuleType("models")
    models.Mood = Mood  # type: ignore[attr-defined]
    assert field(text, Mood=Mood, models=models, Alias=list[Mood]).annotation == annotation


def test_namespace_keeps_only_what_is_used() -> None:
    """The signature carries the user's classes that its text names, and no others."""
    signature = parse_signature("x: list[Mood] -> y", namespace={"Mood": Mood, "Other": int, "x": 3})
    assert dict(signature.namespace) == {"Mood": Mood}


def test_users_class_goes_before_the_white_list_but_not_before_python() -> None:
    """A class called Decimal is the user's; ``str`` is always Python's."""

    class Decimal:
        pass

    assert field("x: Decimal -> y", Decimal=Decimal, str=Decimal).annotation is Decimal
    assert field("x: str -> y", Decimal=Decimal, str=Decimal).annotation is str


@pytest.mark.parametrize(
    "text",
    [
        "a,\nb\n->\nc\n",
        "a\nb\n->\nc",
        "a, b -> c",
        "a\r\nb\r\n->\r\nc",
        "a,b->c,",
        "a\n, b\n -> c",
        "a ,\n\n b -> c # !",
    ],
)
def test_commas_and_lines_separate_alike(text: str) -> None:
    """Fields are separated by commas, by new lines, or by both."""
    signature = parse_signature(text)
    assert [item.name for item in signature] == ["a", "b", "c"]


@pytest.mark.parametrize("text", ["x: int\n  | None\n-> y", "x: int |\n None -> y", "x\n: int | None -> y"])
def test_a_line_goes_on_where_it_plainly_does(text: str) -> None:
    """A new line next to ``|`` or ``:`` ends no field."""
    assert field(text).annotation == int | None


def test_arrows_and_colons_in_strings_are_text() -> None:
    """What stands in quotes is never taken for syntax."""
    assert field("x: Literal['a -> b', \"c: d, e # f\"] -> y").annotation == Literal["a -> b", "c: d, e # f"]


def test_names_are_normalised_as_python_does() -> None:
    """Letters that Python holds for the same are the same name."""
    assert parse_signature("ﬁeld -> straße").inputs[0].name == "field"


def test_untyped_fields_have_no_annotation_text() -> None:
    """A field without a type is a str, and says that nobody wrote so."""
    assert (field("x -> y").annotation, field("x -> y").annotation_text) == (str, "")


def test_unknown_field_name_is_a_key_error() -> None:
    """``Signature.field`` is a lookup."""
    signature: Signature = parse_signature("x -> y")
    with pytest.raises(KeyError):
        signature.field("z")


def test_lint_finds_a_fault_in_each_field() -> None:
    """All faulty fields are told at once, each at its place."""
    faults = lint("a: lst\nb: str\nc: int = 'x' +\n->\nb\nd: Literal[e]")
    assert [(fault.line, fault.field) for fault in faults] == [(1, "a"), (3, "c"), (5, "b"), (6, "d")]


def test_lint_of_good_text_is_empty() -> None:
    """What can be read has no faults."""
    assert lint(CELL) == []
