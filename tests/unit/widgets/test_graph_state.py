"""The live graph's data: where each step stands, and what flows."""

from __future__ import annotations

from dspex_lab.pipelines import compile_plan, native
from dspex_lab.pipelines.steps.constructors import each, parallel
from dspex_lab.widgets.graph_state import graph_message


def test_every_step_has_a_box_inside_the_picture() -> None:
    """Those inside others after what holds them; inputs have no name to go to."""
    plan = compile_plan(
        "p",
        {
            "a": native(lambda x: x),
            "both": parallel(b=native(lambda a: a), c=native(lambda a: a)),
            "rows": each(native(lambda item: item), over="items"),
            "last": native(lambda b, c, rows: rows),
        },
    )
    graph = graph_message(plan)
    names = [box["name"] for box in graph["boxes"]]
    assert [name for name in names if name] == [step.name for step in plan.steps]
    assert names.count("") == len(plan.inputs)
    assert {box["name"]: box["depth"] for box in graph["boxes"]}["b"] == 1
    for box in graph["boxes"]:
        assert 0 <= box["x"] <= box["x"] + box["width"] <= graph["width"]
        assert 0 <= box["y"] <= box["y"] + box["height"] <= graph["height"]


def test_flows_go_from_left_to_right() -> None:
    """From the edge of one box to that of the other, with the fields' names."""
    plan = compile_plan("p", {"a": native(lambda x: x), "b": native(lambda a: a)})
    flows = graph_message(plan)["flows"]
    assert [(one["from"], one["to"], one["fields"], one["depth"]) for one in flows] == [
        ("x", "a", ["x"], 0),
        ("a", "b", ["a"], 0),
    ]
    assert all(one["x1"] < one["x2"] for one in flows)


def test_some_plans_have_no_graph() -> None:
    """One step says nothing, and hundreds nobody can see."""
    assert graph_message(compile_plan("p", {"a": native(lambda x: x)})) == {}
    steps = {f"s{index}": native(lambda x: x, reads=["x"]) for index in range(301)}
    assert graph_message(compile_plan("p", steps)) == {}
