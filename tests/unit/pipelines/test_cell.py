"""The ``%%pipeline`` cell: plain Python in, a pipeline or an error at the user's own line out."""

from __future__ import annotations

import ast
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.errors import LabError, PipelineError, SignatureError
from dspex_lab.pipelines import Pipeline, Program, compile_cell, predict
from dspex_lab.signatures import compile_signature
from dspex_lab.testing.stage import Stage

SUPPORT = """
def trim(ticket: str) -> str:
    return ticket.strip()

limit = 4
text    = native(trim)
triage  = predict(Triage)
both    = parallel(
    summary = chain_of_thought("text -> summary"),
    mood    = predict("text -> mood: Literal['calm', 'angry']"),
)
reply   = when(lambda s: s.urgency >= limit,
    then      = predict("summary -> reply"),
    otherwise = native(lambda summary: summary),
)
"""
TRIAGE = compile_signature("ticket: str -> category: str, urgency: int", name="Triage")


def compiled(text: str, **namespace: Any) -> Pipeline:
    def start(*_: Any, **__: Any) -> Any:
        raise AssertionError("nothing runs here")

    return compile_cell(text, namespace=namespace, start=start, name="support", line_offset=1)


def test_each_assigned_step_is_named() -> None:
    """Steps by name, in order; other assignments, functions and imports are just Python."""
    made = compiled("import math\n" + SUPPORT, Triage=TRIAGE)
    assert list(made.steps) == ["text", "triage", "both", "reply"]
    assert [one.name for one in made.plan.inputs] == ["ticket"]


def test_lines_are_those_of_the_cell() -> None:
    """Every step knows its line, those inside others too, the magic's own line counted."""
    source = compiled(SUPPORT, Triage=TRIAGE).source
    assert source.line(("text",)) == 7
    assert source.line(("both", "mood")) == 11
    assert source.line(("reply", "otherwise")) == 15
    assert source.where(("triage",)) == "  line 8: triage  = predict(Triage)\n          ^"


def test_a_program_of_the_users_is_a_step() -> None:
    """What lab.predict gave can stand in a cell as it is."""
    program = Program(predict("ticket -> mood"), start=lambda *_, **__: None)  # type: ignore[arg-type]
    assert [one.kind for one in compiled("mood = program", program=program).plan.steps] == ["predict"]


def test_names_of_the_users_classes_are_known_in_signatures() -> None:
    """The user's namespace reaches the constructors."""

    class Team:
        pass

    made = compiled('team = predict("ticket -> team: Team")', Team=Team)
    assert made.plan.outputs[0].annotation is Team


def test_the_users_namespace_is_left_alone() -> None:
    """What a cell defines stays in it."""
    namespace: dict[str, Any] = {"Triage": TRIAGE}
    compile_cell(SUPPORT, namespace=namespace, start=lambda *_, **__: None)  # type: ignore[arg-type]
    assert namespace == {"Triage": TRIAGE}


@pytest.mark.parametrize(
    ("text", "message", "line", "hint"),
    [
        ("a = predict('q -> x'", "no Python", 2, "assignment"),
        ("a = predict('q -> x')\nreturn 3", "'return' outside function", 3, "assignment"),
        ("a = predict('q -> x')\x00", "no Python", None, None),
        ("x = 3", "names no step", None, "Assign one"),
        ("a = predict('q -> x')\nb = predct('x -> y')", "predct", 3, "Did you mean 'predict'"),
        ("a = predict('q -> x')\n\nb = react('x -> y')", "tools", 4, None),
        ("a = react('q -> x', tools=len)", "tools of react are a list of functions", 2, "Write tools=[find]."),
        ("a = predict('q -> x', colour='red')", "no step option 'colour'", 2, "A step takes"),
        ("a = predict('q -> x')\na = predict('q -> y')", "two steps called a", 3, "another name"),
        ("a = predict('q -> x')\nb = predict('x: int -> y')", "b reads x as int", 3, "Change one"),
        ("p = parallel(\n  a = predict('q -> x'),\n  b = predict('q -> x'),\n)", "b writes x", 4, "another name"),
        ("p = parallel(a=print)", "a is no step", 2, "native\\(print\\)"),
        ("a = predict('q -> x')\n1 / 0", "ZeroDivisionError", 3, None),
    ],
)
def test_mistakes_point_at_their_line(text: str, message: str, line: int | None, hint: str | None) -> None:
    """Each mistake is a PipelineError with the cell's line and, where there is one, a hint."""
    with pytest.raises(PipelineError, match=message) as caught:
        compiled(text)
    assert (f"line {line}: " in caught.value.where) is (line is not None)
    if hint is not None:
        assert hint.replace("\\", "") in (caught.value.hint or "")


def test_a_wrong_signature_points_into_the_cell() -> None:
    """The caret stands under the mistake in the user's own line."""
    with pytest.raises(SignatureError) as caught:
        compiled("a = predict('q -> x')\nmood = predict('ticket -> mood: strr')")
    error = caught.value
    line = "mood = predict('ticket -> mood: strr')"
    assert (error.line, error.column) == (3, line.index("strr") + 1)
    assert line in str(error)


def test_a_functions_types_are_the_users() -> None:
    """Annotations mean what they mean in the user's own cell."""
    made = compiled("def trim(ticket: str) -> str:\n    return ticket\ntext = native(trim)")
    assert made.plan.inputs[0].annotation is str
    function = made.plan.steps[0].step.operation.function  # type: ignore[union-attr]
    assert function is not None
    assert function.__annotations__ == {"ticket": str, "return": str}


@given(text=st.text(alphabet=st.sampled_from("ab=()'\"->, :\n\\\x00\ud800#é[]{}"), max_size=40))
def test_any_text_is_a_pipeline_or_an_error_of_ours(text: str) -> None:
    """Whatever is typed, the answer is a LabError or a pipeline."""
    with contextlib.suppress(LabError):
        compiled(text)


def test_a_missing_input_points_at_the_cells_line(stage: Stage) -> None:
    """The error of a call shows the step that reads the field."""
    made = compile_cell(SUPPORT, namespace={"Triage": TRIAGE}, start=stage.start, name="support", line_offset=1)
    with pytest.raises(PipelineError) as caught:
        made()
    assert "line 7: text    = native(trim)" in str(caught.value)
    assert stage.events == []


def test_a_functions_exception_shows_the_users_line(stage: Stage) -> None:
    """The line of the user's function in the cell, not ours, and the traceback kept."""
    made = compile_cell(
        "def halve(number):\n    return number / 0\nhalf = native(halve)\n",
        namespace={},
        start=stage.start,
        name="halving",
        line_offset=1,
    )
    with pytest.raises(PipelineError, match="half failed: ZeroDivisionError") as caught:
        made(number=1)
    assert caught.value.where == "  <pipeline halving>, line 3: return number / 0"
    assert "ZeroDivisionError" in caught.value.traceback
    assert caught.value.step == "half"


def test_the_cell_of_the_tests_is_python() -> None:
    """What the design shows parses as it stands."""
    assert len(ast.parse(SUPPORT).body) == 6
