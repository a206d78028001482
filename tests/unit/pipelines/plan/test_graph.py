"""A plan drawn offline, and a run of it: every step has its box, in its place and in its state."""

from __future__ import annotations

import random
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspex_lab.pipelines import Pipeline, compile_plan, each, native, parallel, predict, when
from dspex_lab.pipelines.plan.graph import draw, draw_page
from dspex_lab.pipelines.plan.layout import Box, layout
from dspex_lab.pipelines.plan.plan import Plan
from dspex_lab.pipelines.steps.step import Step
from dspex_lab.testing.stage import Stage

SVG = "{http://www.w3.org/2000/svg}"
PLAN = compile_plan(
    "a <plan>",
    {
        "text": native(lambda ticket: ticket),
        "both": parallel(summary=predict("text -> summary"), mood=predict("ticket -> mood")),
        "reply": predict("summary, mood -> reply"),
    },
)


def words_of(picture: str) -> str:
    return " ".join("".join(text.itertext()) for text in ElementTree.fromstring(picture).iter(f"{SVG}text"))


def test_every_step_has_a_box_and_every_flow_a_line() -> None:
    """Steps inside others too; a line between two that share fields says which."""
    picture = ElementTree.fromstring(draw(PLAN))
    flows = [path.findtext(f"{SVG}title") for path in picture.findall(f"{SVG}path")]
    assert flows == ["ticket", "text", "ticket", "summary, mood"]
    assert all(name in words_of(draw(PLAN)) for name in ("text", "both", "summary", "mood", "reply", "ticket"))


def boxes_of(plan: Plan) -> list[Box]:
    lines = {step.name: (step.name, step.kind) for step in plan.steps}
    return list(layout(plan.block, plan.inputs, lines).boxes)


def assert_apart_and_inside(boxes: list[Box], around: Box | None = None) -> None:
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            apart_x = one.x + one.width <= other.x or other.x + other.width <= one.x
            assert apart_x or one.y + one.height <= other.y or other.y + other.height <= one.y
        if around is not None:
            assert around.x < one.x
            assert around.y < one.y
            assert one.x + one.width < around.x + around.width
            assert one.y + one.height < around.y + around.height
        assert_apart_and_inside(one.inside, one)


def nested(draw_one: random.Random, name: str, depth: int = 3) -> Step:
    """A step of any kind, with others within it; it writes the field ``name``."""
    kinds = ("leaf", "when", "parallel", "each") if depth == 3 else ("leaf", "when", "parallel")
    kind = draw_one.choice(kinds) if depth else "leaf"
    if kind == "leaf":
        return native(lambda q: q, writes=name, overwrite=True)
    inner = nested(draw_one, name, depth - 1)
    if kind == "when":
        return when(lambda s: s.q, then=inner, otherwise=nested(draw_one, name, depth - 1))
    if kind == "each":
        return each(inner, over="items", item="q")
    steps: dict[str, Any] = {f"{name}{depth}": inner, f"{name}{depth}_other": native(lambda q: q)}
    return parallel(**steps)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_boxes_do_not_overlap_and_stay_inside_of_one_another(seed: int) -> None:
    """However steps stand within steps: siblings share no spot, and what is inside is inside."""
    draw_one = random.Random(seed)
    plan = compile_plan("test", {name: nested(draw_one, name) for name in "abcdef"[: draw_one.randint(1, 6)]})
    assert_apart_and_inside(boxes_of(plan))
    ElementTree.fromstring(draw(plan))


def test_names_are_escaped() -> None:
    """The pipeline's name is text, never markup."""
    assert 'aria-label="Steps of a &lt;plan&gt;"' in draw(PLAN)


def test_a_large_plan_is_not_drawn() -> None:
    """Thousands of boxes help nobody; the picture says how many there are."""
    steps = {f"x{number}": native(lambda q: q) for number in range(301)}
    assert words_of(draw(compile_plan("large", steps))) == "large: 301 steps, too many for a picture"


# --- runs ---------------------------------------------------------------------------------------------------------


def made(stage: Stage) -> Pipeline:
    return stage.pipeline(
        text=native(lambda q: q),
        mood=predict("text -> mood"),
        bad=native(lambda q: 1 / 0, optional=True),
        end=when(lambda s: s.mood, then=native(lambda mood: mood), otherwise=native(lambda q: q)),
    )


@pytest.mark.parametrize(
    ("step", "state"),
    [("text", "✓"), ("mood", "✓"), ("bad", "✕"), ("end", "✓"), ("end.then", "✓"), ("end.otherwise", "–")],
)
def test_a_run_shows_the_state_of_each_step(stage: Stage, step: str, state: str) -> None:
    """A sign for each state, in the picture and in the text."""
    run = made(stage).submit(q="x")
    run.result(10)
    assert f"  {state} {step}  " in repr(run.graph)
    groups = {
        (group.findtext(f"{SVG}title") or "").split(" ")[0]: "".join(group.itertext())
        for group in ElementTree.fromstring(run.graph._repr_svg_()).iter(f"{SVG}g")
    }
    assert state in groups[step]


def test_a_run_shows_times_and_tokens(stage: Stage) -> None:
    """What each step took stands in its box."""
    run = made(stage).submit(q="x")
    run.result(10)
    words = words_of(run.graph._repr_svg_())
    assert "5 tok" in words
    assert "failed" in words
    assert "skipped" in words


def test_a_run_under_way_shows_what_runs_and_what_waits(stage: Stage) -> None:
    """The picture is of the moment when it was asked for."""
    run = stage.pipeline(waiting=predict("q -> slow"), after=native(lambda slow: slow)).submit(q="x")
    assert stage.is_slow.wait(10)
    assert "▶ waiting  running …" in repr(run.graph)
    assert "○ after  waiting" in repr(run.graph)
    run.cancel()


def test_a_page_has_the_warnings(stage: Stage) -> None:
    """What is to be warned of stands under the picture, as text."""
    plan = compile_plan("test", {"a": predict("q -> summary"), "b": predict("sumary -> reply")})
    page = draw_page(plan)
    assert "b reads sumary, which no step writes: it is an input." in page
    assert page == plan._repr_html_()
