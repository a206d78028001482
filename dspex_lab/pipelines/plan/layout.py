"""Where each step of a plan stands in its picture: boxes within boxes, in columns by the turn in which they can run.

Pure geometry, in pixels; how it looks is ``graph``'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dspex_lab.pipelines.plan.block import Block, PlanInput, PlanStep

__all__ = ["Box", "Flow", "Picture", "layout"]

CHAR, LINE, PAD = 7.0, 16.0, 10.0
GAP_X, GAP_Y, TITLE = 56.0, 18.0, 30.0
#: The room that a sign before the name takes.
SIGN = 20.0


@dataclass(slots=True)
class Box:
    """One step or input, with what stands inside it. ``x`` and ``y`` are of its corner in the picture."""

    kind: str
    lines: tuple[str, ...]
    step: PlanStep | None = None
    width: float = 0.0
    height: float = 0.0
    x: float = 0.0
    y: float = 0.0
    inside: list[Box] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)

    @property
    def middle(self) -> float:
        """Where lines come in and go out: at the height of the name where there is something inside."""
        return self.y + (TITLE / 2 + 2 if self.inside else self.height / 2)

    def move(self, by_x: float, by_y: float) -> None:
        self.x += by_x
        self.y += by_y
        for one in self.inside:
            one.move(by_x, by_y)


@dataclass(frozen=True, slots=True)
class Flow:
    """The fields that flow from one box to another."""

    source: Box
    target: Box
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """Every box and flow of a plan, and the room that they take."""

    boxes: Sequence[Box]
    flows: Sequence[Flow]
    width: float
    height: float


def layout(block: Block, given: Sequence[PlanInput], lines: Mapping[str, Sequence[str]]) -> Picture:
    """Place every step of ``block`` beside the inputs that are ``given``. ``lines`` are the words of each step's box by
    its name, the name first."""
    inputs = [Box("input", (one.name,)) for one in given]
    for box in inputs:
        box.width, box.height = len(box.lines[0]) * CHAR + 2 * PAD + 6, LINE + 10
    boxes, flows, width, height = _block(block, lines, inputs)
    for box in boxes:
        box.move(PAD, PAD)
    return Picture(boxes, flows, width + 2 * PAD, height + 2 * PAD)


def _block(
    block: Block, lines: Mapping[str, Sequence[str]], inputs: Sequence[Box] = ()
) -> tuple[list[Box], list[Flow], float, float]:
    """The boxes of a block from (0, 0) on, what flows between them, and their width and height."""
    steps = [_box(step, lines) for step in block.steps]
    by_name = {box.lines[0]: box for box in inputs}
    flows = [flow for index, step in enumerate(block.steps) for flow in _flows(step, index, steps, by_name)]
    columns = [list(inputs)] if inputs else []
    columns += [[steps[index] for index in wave] for wave in _waves(block)]
    into: dict[int, list[Box]] = {}
    for flow in flows:
        into.setdefault(id(flow.target), []).append(flow.source)
    heights = [sum(box.height for box in column) + GAP_Y * (len(column) - 1) for column in columns]
    tallest = max(heights)
    x = 0.0
    for column, height in zip(columns, heights, strict=True):
        # Each beside what flows into it, so that lines cross as little as may be.
        column.sort(key=lambda box: _mean([one.middle for one in into.get(id(box), [])]))
        y = (tallest - height) / 2
        for box in column:
            box.move(x, y)
            y += box.height + GAP_Y
        x += max(box.width for box in column) + GAP_X
    return [*inputs, *steps], flows, x - GAP_X, tallest


def _box(step: PlanStep, lines: Mapping[str, Sequence[str]]) -> Box:
    box = Box(step.kind, tuple(lines[step.name]), step)
    if not step.blocks:
        box.width = max(len(line) for line in box.lines) * CHAR + 2 * PAD + SIGN
        box.height = len(box.lines) * LINE + 2 * PAD - 2
        return box
    y, width = TITLE, len("  ".join(box.lines)) * CHAR + 2 * PAD + SIGN  # its words are one line
    for block in step.blocks:
        boxes, flows, inner_width, inner_height = _block(block, lines)
        for one in boxes:
            one.move(PAD, y)
        box.inside += boxes
        box.flows += flows
        width = max(width, inner_width + 2 * PAD)
        y += inner_height + GAP_Y
    box.width, box.height = width, y - GAP_Y + PAD
    return box


def _flows(step: PlanStep, index: int, steps: Sequence[Box], inputs: Mapping[str, Box]) -> list[Flow]:
    found: dict[int, tuple[Box, list[str]]] = {}
    for name in step.read_names:
        source = step.sources.get(name)
        box = inputs.get(name) if source is None else steps[source]
        if box is not None:
            found.setdefault(id(box), (box, []))[1].append(name)
    return [Flow(box, steps[index], tuple(names)) for box, names in found.values()]


def _waves(block: Block) -> list[list[int]]:
    """The steps by the earliest turn in which each can run."""
    depth: dict[int, int] = {}
    waves: list[list[int]] = []
    for index in block.order():
        depth[index] = 1 + max((depth[need] for need in block.steps[index].needs), default=-1)
        while len(waves) <= depth[index]:
            waves.append([])
        waves[depth[index]].append(index)
    return [sorted(wave) for wave in waves]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
