"""A plan's picture as plain data: where each step stands, for a view that shows its state as it changes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dspex_lab.pipelines.plan.graph import box_lines
from dspex_lab.pipelines.plan.layout import Box, Flow, layout
from dspex_lab.pipelines.plan.plan import Plan

__all__ = ["graph_message"]

#: More than these nobody can see, and no browser likes.
_MOST_STEPS = 300
#: Keeps room for a step's figures in its box.
_FIGURES = "9.99 s · 9,999 tok"


def graph_message(plan: Plan) -> dict[str, Any]:
    """``{"width", "height", "boxes": [{"name", "kind", "lines", "x", "y", "width", "height", "depth", "has_inside",
    "is_optional"}], "flows": [{"depth", "from", "to", "fields", "x1", "y1", "x2", "y2"}]}``, in pixels. ``name`` is
    the step's, "" for an input. Empty for one step, whose picture says nothing, and for more than can be seen."""
    steps = plan.steps
    if not 1 < len(steps) <= _MOST_STEPS:
        return {}
    lines = {step.name: (*box_lines(step), *(() if step.blocks else (_FIGURES,))) for step in steps}
    picture = layout(plan.block, plan.inputs, lines)
    return {
        "width": picture.width,
        "height": picture.height,
        "boxes": [one for box in picture.boxes for one in _boxes(box, 0)],
        "flows": [
            *(_flow(flow, 0) for flow in picture.flows),
            *(_flow(flow, 1) for flow in _inner_flows(picture.boxes)),
        ],
    }


def _boxes(box: Box, depth: int) -> Iterator[dict[str, Any]]:
    """The box and those inside it, each before what it holds."""
    yield {
        "name": box.step.name if box.step is not None else "",
        "kind": box.kind,
        "lines": list(box.lines if box.step is None or box.inside else box.lines[:-1]),
        "x": box.x,
        "y": box.y,
        "width": box.width,
        "height": box.height,
        "depth": depth,
        "has_inside": bool(box.inside),
        "is_optional": box.step is not None and box.step.is_optional,
    }
    for one in box.inside:
        yield from _boxes(one, depth + 1)


def _inner_flows(boxes: Iterable[Box]) -> Iterator[Flow]:
    for box in boxes:
        yield from box.flows
        yield from _inner_flows(box.inside)


def _flow(flow: Flow, depth: int) -> dict[str, Any]:
    return {
        "depth": depth,
        "from": flow.source.lines[0],
        "to": flow.target.step.name if flow.target.step is not None else "",
        "fields": list(flow.fields),
        "x1": flow.source.x + flow.source.width,
        "y1": flow.source.middle,
        "x2": flow.target.x - 1,
        "y2": flow.target.middle,
    }
