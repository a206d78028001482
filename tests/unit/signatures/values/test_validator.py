"""Values are checked on the way in and on the way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from dspex_lab.errors import ValidationError, error_from_dict
from dspex_lab.signatures import CompiledSignature, compile_signature

CELL = """
ticket: str
context
limit: int | None
language: str = "en"
->
category: Literal["billing", "bug"]
urgency: Annotated[int, Field(ge=1, le=5)]
ok: bool
note: str
reply: str | None
"""
GOOD = {"category": "bug", "urgency": 3, "ok": True, "note": "n", "reply": "r"}


@pytest.fixture
def triage() -> CompiledSignature:
    return compile_signature(CELL, name="Triage")


def faults(triage: CompiledSignature, side: str, values: Mapping[str, Any]) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        getattr(triage.validator, f"validate_{side}")(values)
    return caught.value


def test_defaults_are_filled_in_and_optional_inputs_may_miss(triage: CompiledSignature) -> None:
    """A default stands in for a missing input; an input whose type allows None may be left out."""
    assert triage.validator.validate_inputs({"ticket": "x", "context": "y"}) == {
        "ticket": "x",
        "context": "y",
        "language": "en",
    }


@pytest.mark.parametrize("value", ["text", ["a", "b"], 3, None])
def test_untyped_inputs_take_anything(triage: CompiledSignature, value: object) -> None:
    """As in DSPy, an input without a type may be a list of passages."""
    assert triage.validator.validate_inputs({"ticket": "x", "context": value})["context"] == value


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"urgency": "4"}, {"urgency": 4}),
        ({"urgency": 4.0}, {"urgency": 4}),
        ({"ok": "yes"}, {"ok": True}),
        ({"note": 42}, {"note": "42"}),
        ({"reply": None}, {"reply": None}),
        ({"extra": 1}, {}),
    ],
)
def test_outputs_are_put_right(triage: CompiledSignature, change: dict[str, Any], wanted: dict[str, Any]) -> None:
    """What a reader would take for the value is taken for it; unknown keys are dropped."""
    assert triage.validator.validate_outputs({**GOOD, **change}) == {**GOOD, **wanted}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"urgency": "four"}, "urgency"),
        ({"urgency": 99}, "urgency"),
        ({"urgency": 4.5}, "urgency"),
        ({"category": "Bug"}, "category"),
        ({"ok": "perhaps"}, "ok"),
        ({"note": None}, "note"),
        ({"note": ["x"]}, "note"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(triage: CompiledSignature, change: dict[str, Any], field: str) -> None:
    """A wrong output is an error that names its field and shows what was there."""
    (fault,) = faults(triage, "outputs", {**GOOD, **change}).errors
    assert fault["field"] == field
    assert fault["input"] in (change[field], repr(change[field]))


def test_missing_optional_output_is_none(triage: CompiledSignature) -> None:
    """An output whose type allows None may be left out; the order stays the signature's."""
    found = triage.validator.validate_outputs({k: v for k, v in GOOD.items() if k != "reply"})
    assert list(found.items()) == [*list(GOOD.items())[:-1], ("reply", None)]


def test_every_fault_has_an_entry(triage: CompiledSignature) -> None:
    """All faults are told at once, so that a retry can show them all."""
    error = faults(triage, "outputs", {"category": 1, "urgency": 0, "ok": 2})
    assert {fault["field"] for fault in error.errors} == {"category", "urgency", "ok", "note"}


def test_misspelt_input_has_a_hint(triage: CompiledSignature) -> None:
    """A name that is nearly right is guessed."""
    error = faults(triage, "inputs", {"tikcet": "x", "context": "y"})
    assert {fault["field"] for fault in error.errors} == {"ticket", "tikcet"}
    assert "`ticket`" in (error.hint or "")


def test_unknown_input_is_refused(triage: CompiledSignature) -> None:
    """Inputs that nobody declared are faults; the hint lists those that are."""
    error = faults(triage, "inputs", {"ticket": "x", "context": "y", "zzz": 1})
    assert error.errors[0]["field"] == "zzz"
    assert "language" in (error.hint or "")


def test_place_inside_a_structure_is_told() -> None:
    """A fault deep inside says where."""
    compiled = compile_signature("a -> b: list[dict[str, int]]")
    (fault,) = faults(compiled, "outputs", {"b": [{"x": 1}, {"y": "?"}]}).errors
    assert fault["field"] == "b"
    assert "At 1.y:" in fault["message"]


def test_every_fault_is_told_and_a_wrong_name_once(triage: CompiledSignature) -> None:
    """The message tells the first fault and the lines below it the others; one hint for one slip."""
    told = str(faults(triage, "outputs", {**GOOD, "category": "x", "urgency": "four"})).splitlines()
    assert "`category`" in told[0]
    assert told[1].startswith("  `urgency`: ")
    wrong = faults(triage, "inputs", {"tickett": "x", "context": "y"})
    assert wrong.hint == "Did you mean `ticket` instead of `tickett`?"


def test_errors_survive_the_wire(triage: CompiledSignature) -> None:
    """Whatever the value was, its error is plain data."""
    error = faults(triage, "outputs", {**GOOD, "note": object(), "urgency": "x" * 10_000})
    again = error_from_dict(error.to_dict())
    assert isinstance(again, ValidationError)
    assert again.errors == error.errors
    assert all(len(str(fault["input"])) <= 300 for fault in error.errors)


@pytest.mark.parametrize("name", ["schema", "json", "copy", "model_fields", "self", "cls", "data", "values"])
def test_names_that_pydantic_uses_are_fine(name: str) -> None:
    """Fields may be called as pydantic's own methods are."""
    compiled = compile_signature(f"{name} -> out_{name}")
    assert compiled.validator.validate_inputs({name: "x"}) == {name: "x"}


def test_values_of_classes_come_out_as_instances(classes: Mapping[str, type]) -> None:
    """Plain data becomes the user's enums, dataclasses and models."""
    compiled = compile_signature("a -> m: Mood, i: list[Item], p: Person", namespace=classes)
    found = compiled.validator.validate_outputs({"m": "calm", "i": [{"name": "x"}], "p": {"name": "y", "age": "3"}})
    assert [type(found["m"]), type(found["i"][0]), type(found["p"])] == [
        classes["Mood"],
        classes["Item"],
        classes["Person"],
    ]
    assert compiled.serializer.load_outputs(compiled.serializer.dump(found)) == found
