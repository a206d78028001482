"""The step that asks: what its answer must be, and the form that takes it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import pytest

from dspex_lab.errors import ConfigurationError, PipelineError, SignatureError, ValidationError
from dspex_lab.pipelines import ask, compile_plan, native
from dspex_lab.pipelines.steps.asking import Form, checked_answer
from dspex_lab.signatures import FormField, compile_signature, form_fields, values_of_form
from dspex_lab.testing.stage import Stage


class Mood(enum.Enum):
    CALM = "calm"
    ANGRY = "angry"


def form_of(answer: Any, **options: Any) -> Form:
    return Form.of(ask("Well?", answer=answer, **options))


def field_of(answer: str, **options: Any) -> FormField:
    (found,) = form_fields(form_of(answer, **options).answer.inputs)
    return found


@pytest.mark.parametrize(
    ("answer", "kind", "values"),
    [
        ("x: bool", "checkbox", {"is_required": True}),
        ("x: bool | None", "select", {"choices": (True, False), "is_required": False, "allows_none": True}),
        ("x: Literal['a', 'b']", "select", {"choices": ("a", "b")}),
        ("x: Literal['a']", "select", {"choices": ("a",)}),
        ("x: Mood", "select", {"choices": ("calm", "angry")}),
        ("x: Annotated[int, Field(ge=1, lt=5)]", "number", {"minimum": 1.0, "maximum": 4.0, "is_whole": True}),
        ("x: float", "number", {"minimum": None, "is_whole": False}),
        ("x", "text", {"type_text": "str"}),
        ("x: str = 'hello'", "text", {"default": "hello", "is_required": False}),
        ("x: list[str]", "lines", {}),
        ("x: dict[str, int]", "json", {}),
        ("x: str | int", "json", {}),
    ],
)
def test_a_field_has_the_control_of_its_type(answer: str, kind: str, values: Mapping[str, Any]) -> None:
    """Check box, choice, number with bounds, text, lines; JSON for what has no form of its own."""
    found = field_of(answer, namespace={"Mood": Mood})
    assert found.kind == kind
    assert {name: getattr(found, name) for name in values} == values


@pytest.mark.parametrize(
    ("answer", "typed", "value"),
    [
        ("x: int", "4", 4),
        ("x: int | None", "", None),
        ("x: str | None", "", None),
        ("x: str", "", ""),
        ("x: int = 3", "", 3),
        ("x: bool", False, False),
        ("x: list[str]", "a\n\n b \n", ["a", "b"]),
        ("x: dict[str, int]", '{"a": 1}', {"a": 1}),
        ("x: Mood", "calm", Mood.CALM),
    ],
)
def test_what_is_typed_becomes_a_value(answer: str, typed: Any, value: Any) -> None:
    """Empty fields are None or the default where they may be; the validator has the last word."""
    form = form_of(answer, namespace={"Mood": Mood})
    assert checked_answer(form.answer, values_of_form(form_fields(form.answer.inputs), {"x": typed})) == {"x": value}


@pytest.mark.parametrize(("answer", "typed"), [("x: int", ""), ("x: int", "4.5"), ("x: dict[str, int]", "{")])
def test_what_is_no_value_is_told_at_its_field(answer: str, typed: str) -> None:
    """One entry for the field, with the validator's words."""
    form = form_of(answer)
    with pytest.raises(ValidationError) as caught:
        checked_answer(form.answer, values_of_form(form_fields(form.answer.inputs), {"x": typed}))
    assert [fault["field"] for fault in caught.value.errors] == ["x"]


def test_one_value_stands_for_the_field_that_needs_one() -> None:
    """The others have defaults; where several need one they must be named."""
    form = form_of("approved: bool, comment: str = ''")
    assert checked_answer(form.answer, True) == {"approved": True, "comment": ""}
    with pytest.raises(ValidationError, match="An answer has the fields a, b"):
        checked_answer(form_of("a, b").answer, "x")


def test_a_signature_says_what_to_show_and_what_to_fill_in() -> None:
    """Its inputs are looked at, its outputs are the answer."""
    review = compile_signature("reply -> approved: bool, comment", name="Review")
    step = ask("Well?", answer=review)
    assert [one.name for one in step.reads] == ["reply"]
    assert [one.name for one in step.writes or ()] == ["approved", "comment"]
    assert field_of("reply -> x").kind == "text"


def test_answers_are_fields_of_the_plan() -> None:
    """What is shown must be there, and what is answered has its type for those who read it."""
    steps = {"ok": ask("Well?", shows="reply", answer="approved: bool"), "last": native(lambda approved: approved)}
    plan = compile_plan("p", steps)
    assert [one.name for one in plan.inputs] == ["reply"]
    assert plan.waves == (("ok",), ("last",))

    def count(approved: dict[str, int]) -> int:
        return len(approved)

    with pytest.raises(PipelineError, match="writes bool"):
        compile_plan("p", {**steps, "last": native(count)})


def test_mistakes_are_told_when_the_step_is_made(stage: Stage) -> None:
    """No question, an answer that is none, a default that does not fit; the place is that in the answer's own text."""
    with pytest.raises(ConfigurationError, match="no question"):
        ask(" ")
    with pytest.raises(ValidationError, match="approved"):
        ask("Well?", answer="approved: bool", default="perhaps")
    with pytest.raises(SignatureError, match="boool") as caught:
        ask("Well?", answer="approved: boool")
    assert caught.value.signature == "approved: boool"
