"""Plans: what follows what, and every mistake before anything runs."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspex_lab.errors import PipelineError
from dspex_lab.pipelines import Plan, compile_plan, each, native, parallel, predict, template, when
from dspex_lab.pipelines.steps.step import Leaf
from dspex_lab.router import Operation, Options


def make(**steps: Any) -> Plan:
    return compile_plan("test", steps)


def needs(plan: Plan) -> dict[str, set[str]]:
    return {one.name: {plan.block.steps[need].name for need in one.needs} for one in plan.block.steps}


def passing(*reads: str, **options: Any) -> Any:
    return native(lambda *values: values, reads=reads, **options)


def test_steps_wait_for_what_they_read_and_for_nothing_else() -> None:
    """A dependency is a field; independent steps share a wave."""
    plan = make(
        clean=passing("ticket"),
        triage=predict("ticket -> category, urgency: int"),
        summary=predict("clean -> summary"),
        reply=predict("summary, category -> reply"),
    )
    assert needs(plan) == {
        "clean": set(),
        "triage": set(),
        "summary": {"clean"},
        "reply": {"summary", "triage"},
    }
    assert plan.waves == (("clean", "triage"), ("summary",), ("reply",))


def test_inputs_are_what_nobody_writes() -> None:
    """The pipeline's inputs follow from its steps, with their types and whether they may be left out."""
    plan = make(a=predict('"""Do."""\nticket: str\nlanguage: str = "en"\n->\nanswer: str'), b=passing("answer", "note"))
    assert [(one.name, one.is_required, one.annotation) for one in plan.inputs] == [
        ("ticket", True, str),
        ("language", False, str),
        ("note", True, Any),
    ]


def test_a_step_may_read_what_a_later_one_writes() -> None:
    """The order of the lines does not matter, only the fields do."""
    plan = make(reply=predict("summary -> reply"), summary=predict("ticket -> summary"))
    assert plan.waves == (("summary",), ("reply",))


def test_a_native_step_writes_its_own_name() -> None:
    """Where nothing is said, the field is called like the step."""
    plan = make(shout=native(lambda text: text.upper()), greet=template("Hello {{ shout }}"))
    assert [one.name for one in plan.outputs] == ["shout", "greet"]
    assert plan.steps[1].read_names == ("shout",)


def test_overwriting_on_purpose_gives_later_steps_the_new_value() -> None:
    """With overwrite=True earlier readers keep the old value, later ones wait for the new one."""
    plan = make(before=passing("ticket"), ticket=passing("ticket", overwrite=True), after=passing("ticket"))
    assert needs(plan) == {"before": set(), "ticket": set(), "after": {"ticket"}}


def test_children_of_parallel_wait_together() -> None:
    """A parallel step reads what its children read, and writes what they write."""
    plan = make(
        text=passing("ticket"),
        both=parallel(summary=predict("text -> summary"), mood=predict("ticket -> mood")),
        reply=predict("summary, mood -> reply"),
    )
    both = plan.block.steps[1]
    assert (both.read_names, both.write_names) == (("text", "ticket"), ("summary", "mood"))
    assert plan.waves == (("text",), ("both",), ("reply",))
    assert [(one.name, one.parent) for one in plan.steps[2:4]] == [("summary", "both"), ("mood", "both")]


def test_a_condition_and_both_branches_are_read() -> None:
    """when waits for what its condition looks at and for what its branches read."""
    plan = make(
        triage=predict("ticket -> urgency: int"),
        reply=when(lambda s: s.urgency > 3, then=predict("ticket, order -> reply"), otherwise=passing("ticket")),
    )
    reply = plan.block.steps[1]
    assert set(reply.read_names) == {"urgency", "ticket", "order"}
    assert [one.name for one in plan.steps[2:]] == ["reply.then", "reply.otherwise"]
    assert plan.outputs[-1].is_certain


def test_a_condition_that_cannot_be_looked_into_waits_for_all_before_it() -> None:
    """Where the fields are not known, every field so far may be read."""
    plan = make(a=passing("x"), b=passing("y"), c=when(lambda s: any(s.values()), then=passing("z")))
    assert needs(plan)["c"] == {"a", "b"}


def test_each_reads_a_list_and_writes_lists() -> None:
    """The item is the inner step's, the list the outer one's; outputs become lists."""
    plan = make(moods=each(predict("ticket, tone -> mood"), over="tickets"))
    assert [one.name for one in plan.inputs] == ["tickets", "tone"]
    assert (plan.outputs[0].name, plan.outputs[0].annotation) == ("mood", list[str])


@pytest.mark.parametrize(
    ("steps", "message", "step"),
    [
        ({}, "has no steps", None),
        ({"a": predict("q -> x"), "b": predict("q -> x")}, "b writes x, which comes from a already", "b"),
        ({"x": passing("x")}, "x writes x, which comes from the pipeline's inputs", "x"),
        ({"a": predict("q -> x: str"), "b": predict("x: int -> y")}, "b reads x as int, and a writes str", "b"),
        ({"a": passing("b"), "b": passing("a")}, "wait for one another: a → b → a", "a"),
        (
            {"p": parallel(a=predict("q -> x"), b=predict("x -> y"))},
            "b reads x, which a writes at the same time",
            "b",
        ),
        ({"p": parallel(a=predict("q -> x"), b=predict("q -> x"))}, "b writes x, which comes from a", "b"),
        ({"a": passing("q"), "p": parallel(a=passing("q", writes="z"))}, "two steps called a", "a"),
        ({"a": predict("q: str -> x"), "b": predict("q: int -> y")}, "a reads q as str, and b as int", "b"),
        ({"e": each(predict("t -> m"), over="ts", item="u")}, "hands over each u, which its step does not read", "e"),
        (
            {"e": each(predict("n: int -> m"), over="ns"), "f": predict("m: int -> k")},
            "f reads m as int, and e writes list",
            "f",
        ),
    ],
)
def test_mistakes_are_found_before_anything_runs(steps: dict[str, Any], message: str, step: str | None) -> None:
    """Each mistake is a PipelineError that names its step and says what to do."""
    with pytest.raises(PipelineError, match=message) as caught:
        compile_plan("test", steps)
    assert caught.value.step == step
    assert caught.value.hint


def test_the_text_shows_turns_steps_and_flow() -> None:
    """A plan reads as a table."""
    plan = make(a=predict("q -> x"), p=parallel(b=passing("x"), c=passing("q")))
    assert repr(plan).splitlines() == [
        "test(q)",
        "  1  a    predict   q → x",
        "  2  p    parallel  x, q → b, c",
        "       b  native    x → b",
        "       c  native    q → c",
    ]


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_every_step_stands_after_what_it_reads(data: st.DataObject) -> None:
    """In a random graph, whatever the order of its lines, a step's turn is later than those of its sources."""
    count = data.draw(st.integers(1, 12))
    reads = {
        number: data.draw(st.sets(st.integers(0, number - 1), max_size=4)) if number else set()
        for number in range(count)
    }
    order = data.draw(st.permutations(range(count)))
    plan = make(**{f"s{number}": passing(*(f"s{one}" for one in reads[number]), "q") for number in order})
    turns = {name: turn for turn, wave in enumerate(plan.waves) for name in wave}
    assert len(turns) == count
    assert all(turns[f"s{one}"] < turns[f"s{number}"] for number in range(count) for one in reads[number])
    assert needs(plan) == {f"s{number}": {f"s{one}" for one in reads[number]} for number in range(count)}


@pytest.mark.timeout(60)
def test_planning_is_linear() -> None:
    """Ten times the steps take about ten times as long."""

    def seconds(count: int) -> float:
        steps = {f"s{number}": passing("q" if number == 0 else f"s{number - 1}") for number in range(count)}
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            compile_plan("long", steps)
            times.append(time.perf_counter() - begun)
        return min(times)

    assert seconds(5000) < 25 * seconds(500)


def test_another_name_or_operation_leaves_the_rest_of_a_step_as_it_was() -> None:
    """What the copies that a plan makes write out is every field there is."""
    operation = Operation(
        "native", "add", ("x",), function=len, native_name="n", tools=(len,), settings={"a": 1}, is_idempotent=True
    )
    leaf = Leaf(operation, Options(timeout_s=1.0), (), None, overwrites=True, returns=int, is_optional=True)
    other = operation.writing("y")
    assert other == replace(operation, writes=("y",))
    assert leaf.doing(other) == replace(leaf, operation=other)
