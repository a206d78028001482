"""Warnings of a plan: what can run, but hardly as it is meant, with the user's line. And what is no warning."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspex_lab.errors import PipelineError
from dspex_lab.pipelines import compile_cell, compile_plan, each, native, parallel, predict, when
from dspex_lab.testing.stage import Stage


def messages(**steps: Any) -> list[str]:
    return [one.message for one in compile_plan("test", steps).warnings]


def test_a_slip_in_a_name_is_told() -> None:
    """An input that is nearly called like a field was hardly meant to be one."""
    plan = compile_plan("test", {"a": predict("ticket -> summary"), "b": predict("sumary -> reply")})
    assert [(one.message, one.hint) for one in plan.warnings] == [
        ("b reads sumary, which no step writes: it is an input.", "Did you mean 'summary'?")
    ]


def test_a_slip_in_a_condition_is_told() -> None:
    """What the condition looks at is an input too."""
    assert messages(
        triage=predict("ticket -> urgency: int"), b=when(lambda s: s.urgensy > 3, then=predict("ticket -> reply"))
    ) == ["b reads urgensy, which no step writes: it is an input."]


@pytest.mark.parametrize(
    ("first", "second"), [("x1", "x2"), ("answer", "answers"), ("text", "ticket"), ("question", "answer")]
)
def test_names_that_are_alike_on_purpose_are_no_slips(first: str, second: str) -> None:
    """A number, a plural, another word."""
    assert messages(a=predict(f"q -> {first}"), b=predict(f"{second} -> z")) == []


def test_a_field_that_nobody_reads_before_it_is_overwritten() -> None:
    """The work of the first step is lost."""
    assert messages(a=native(lambda q: 1), b=native(lambda q: 2, writes="a", overwrite=True)) == [
        "Nobody reads a of a before b overwrites it."
    ]


def test_a_field_that_is_read_and_then_overwritten_is_fine() -> None:
    """By the step that overwrites it, or by another before."""
    again = native(lambda a: a, writes="a", overwrite=True)
    blind = native(lambda q: q, writes="a", overwrite=True)
    assert messages(a=native(lambda q: 1), b=again) == []
    assert messages(a=native(lambda q: 1), use=native(lambda a: a), b=blind) == []


def takes_text(mood: str) -> str:
    return mood


def takes_maybe(mood: str | None) -> str:
    return mood or ""


@pytest.mark.parametrize(
    "step",
    [when(lambda s: s.q, then=predict("q -> mood: str")), predict("q -> mood: str", optional=True)],
    ids=["branch", "optional"],
)
def test_a_field_that_may_be_none_is_not_read_as_text(step: Any) -> None:
    """A branch that is not taken and an optional step leave None; who says that he takes it is not warned."""
    found = messages(first=step, second=native(takes_text))
    assert found[0].startswith("second reads mood as str, and it is None when first ")
    assert messages(first=step, second=native(takes_maybe)) == []
    assert messages(first=step, second=native(lambda mood: mood)) == []


def test_warnings_inside_of_others_are_found() -> None:
    """In a branch of a list's step, too."""
    inner = when(lambda s: s.item, then=predict("item -> mood: str"))
    both = parallel(x=each(inner, over="items", item="item"))
    assert messages(both=both, end=native(lambda mood: mood)) == []
    inside = parallel(c=native(lambda q: 2, writes="a", overwrite=True))
    assert messages(a=native(lambda q: 1), b=inside) == ["Nobody reads a of a before b overwrites it."]


def test_a_warning_has_the_cells_line_and_is_shown_with_the_plan(stage: Stage) -> None:
    """The line, the caret and the hint stand under the plan."""
    text = 'a = predict("ticket -> summary")\nb = predict("sumary -> reply")\n'
    made = compile_cell(text, namespace={}, start=stage.start, line_offset=1)
    assert repr(made.plan).endswith(
        "! b reads sumary, which no step writes: it is an input.\n"
        '  line 3: b = predict("sumary -> reply")\n'
        "          ^\n"
        "  Hint: Did you mean 'summary'?"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('predict("q -> b")', "This step has no name, and does not run."),
        ('if True:\n    b = predict("q -> b")', "b is a step, but does not run"),
        ('b, c = predict("q -> b"), 1', "b is a step, but does not run"),
    ],
)
def test_steps_that_do_not_run_are_told(stage: Stage, text: str, message: str) -> None:
    """Only plain assignments at the top of the cell name steps."""
    made = compile_cell(f'a = predict("q -> a")\n{text}\n', namespace={}, start=stage.start)
    assert [one.message.startswith(message) for one in made.plan.warnings] == [True]
    assert "line 2" in made.plan.warnings[0].where


def test_a_run_tells_the_warnings_of_its_plan(stage: Stage) -> None:
    """Its panel shows them, though nobody looked at the plan."""
    made = stage.pipeline(first=native(lambda ticket: 1, writes="summary"), then=native(lambda sumary: sumary))
    run = made.submit(ticket="t", sumary="s")
    run.result(10)
    told = [one.attributes["message"] for one in run.events() if one.name == "pipeline.warning"]
    assert told == [one.message for one in made.plan.warnings] != []


def test_what_is_no_step_is_no_warning(stage: Stage) -> None:
    """Functions, constants and imports of the cell are its own business."""
    text = "import json\ndef shout(a):\n    return a\nLIMIT = 3\nfor x in range(2): pass\nb = native(shout)\n"
    assert compile_cell(text, namespace={}, start=stage.start).plan.warnings == ()


# --- optional steps -----------------------------------------------------------------------------------------------


def test_an_optional_step_that_fails_leaves_none(stage: Stage) -> None:
    """Its fields are None, its error is recorded, the run goes on and says so."""
    made = stage.pipeline(
        mood=native(lambda q: 1 / 0, optional=True),
        two=native(lambda q: 1 / 0, writes=["x", "y"], optional=True),
        reply=native(lambda q, mood: f"{q} {mood}"),
    )
    run = made.submit(q="hello")
    result = run.result(10)
    assert result.to_dict() == {"mood": None, "x": None, "y": None, "reply": "hello None"}
    assert result.errors.keys() == run.errors.keys() == {"mood", "two"}
    assert "! mood: mood failed: ZeroDivisionError" in repr(result)
    assert (str(run.state), result.metrics["mood"].status) == ("succeeded", "failed")
    assert run.view.step("mood").error is not None


def test_an_optional_step_that_works_is_like_any_other(stage: Stage) -> None:
    """Nothing is recorded, and its value is there."""
    result = stage.pipeline(mood=predict("q -> mood", optional=True), end=native(lambda mood: mood))(q="x")
    assert (result.end, result.errors) == ("mood of q", {})


def failing(q: str) -> str:
    raise ValueError("no")


OPTIONAL_BLOCKS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "parallel": lambda: {"both": parallel(optional=True, mood=native(failing), other=native(lambda q: q))},
    "when": lambda: {"mood": when(lambda s: s.q, then=native(failing), optional=True), "other": native(lambda q: None)},
    "each": lambda: {
        "mood": each(native(failing), over="items", item="q", optional=True),
        "other": native(lambda q: None),
    },
}


@pytest.mark.parametrize("continues", [False, True])
@pytest.mark.parametrize("kind", OPTIONAL_BLOCKS)
def test_an_optional_block_that_fails_leaves_none(stage: Stage, kind: str, continues: bool) -> None:
    """In all of its fields, and the run goes on; the step inside it says what happened."""
    made = stage.pipeline(**OPTIONAL_BLOCKS[kind](), end=native(lambda mood: f"mood: {mood}"))
    given = {"q": "x", "items": ["x"]}
    result = made.options(continue_on_error=continues)(**{one.name: given[one.name] for one in made.plan.inputs})
    assert result.end == ("mood: [None]" if continues and kind == "each" else "mood: None")
    assert "no" in str(next(iter(result.errors.values())))


def test_an_optional_block_that_works_is_like_any_other(stage: Stage) -> None:
    """Its fields are those of its steps."""
    made = stage.pipeline(both=parallel(optional=True, a=native(lambda q: q), b=native(lambda q: q * 2)))
    assert made(q="x").to_dict() == {"a": "x", "b": "xx"}


def test_who_reads_an_optional_block_is_warned(stage: Stage) -> None:
    """Its fields may be None, whatever its steps promise."""
    made = stage.pipeline(both=parallel(optional=True, mood=predict("q -> mood: str")), end=predict("mood: str -> end"))
    assert "it is None when both fails" in made.plan.warnings[0].message


def test_a_step_called_optional_is_refused(stage: Stage) -> None:
    """In parallel that word is taken."""
    with pytest.raises(PipelineError, match="No step is called optional"):
        parallel(optional=native(lambda q: q))  # type: ignore[arg-type]  # what users may write


# --- every plan ---------------------------------------------------------------------------------------------------


@st.composite
def chains(draw: st.DrawFn) -> list[tuple[str, bool]]:
    """Steps by what each reads (a field before it, or the input), and whether it is optional."""
    count = draw(st.integers(1, 8))
    return [
        (draw(st.sampled_from(["ticket", *(f"x{number}" for number in range(place))])), draw(st.booleans()))
        for place in range(count)
    ]


@settings(max_examples=60, deadline=None)
@given(chains())
def test_exactly_those_who_may_read_none_are_warned(steps: list[tuple[str, bool]]) -> None:
    """Whatever the plan: one warning for each step that reads a field of an optional one as what is never None."""
    plan = compile_plan(
        "test",
        {
            f"x{at}": predict(f"{read}: str -> x{at}: str", optional=optional)
            for at, (read, optional) in enumerate(steps)
        },
    )
    optional = {f"x{place}" for place, (_, is_optional) in enumerate(steps) if is_optional}
    expected = [f"x{place}" for place, (read, _) in enumerate(steps) if read in optional]
    assert [one.step for one in plan.warnings] == expected
    assert all("is None when" in one.message for one in plan.warnings)


@settings(max_examples=60, deadline=None)
@given(chains(), st.randoms(use_true_random=False))
def test_the_order_of_the_steps_changes_no_warning(steps: list[tuple[str, bool]], shuffled: random.Random) -> None:
    """What is told depends on who reads whom, not on which line stands first."""
    made = {f"x{at}": predict(f"{read}: str -> x{at}: str", optional=is_it) for at, (read, is_it) in enumerate(steps)}
    names = list(made)
    shuffled.shuffle(names)
    other = compile_plan("test", {name: made[name] for name in names})
    assert {str(one) for one in other.warnings} == {str(one) for one in compile_plan("test", made).warnings}
