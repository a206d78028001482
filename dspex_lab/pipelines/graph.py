"""A plan as a picture: SVG, drawn here and now, with no other program.

Pure text out of a plan. Inputs stand on the left, then one column for each turn; a line is what flows.
Colours are the page's own, so that the picture fits a dark theme too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from dspex_lab.pipelines.plan import Plan, PlanStep

__all__ = ["draw"]

_CHAR, _LINE, _PAD, _GAP_X, _GAP_Y = 7.2, 17, 10, 46, 16


@dataclass(frozen=True, slots=True)
class _Box:
    """One step or input: its lines of text (the first is its name), and where it stands."""

    lines: tuple[str, ...]
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    is_input: bool = False

    @property
    def height(self) -> float:
        return len(self.lines) * _LINE + 2 * _PAD

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def draw(plan: Plan) -> str:
    """The plan as an SVG element."""
    inputs = {one.name: _Box((one.name,), is_input=True) for one in plan.inputs}
    steps = {one.name: _Box(tuple(_lines(one))) for one in plan.block.steps}
    columns = [list(inputs)] if inputs else []
    columns += [list(wave) for wave in plan.waves]
    boxes: dict[tuple[str, bool], _Box] = {}
    x, bottom = float(_PAD), 0.0
    for number, names in enumerate(columns):
        is_input = bool(inputs) and number == 0
        column = [(inputs if is_input else steps)[name] for name in names]
        width = max(len(line) for box in column for line in box.lines) * _CHAR + 2 * _PAD
        y = float(_PAD)
        for name, box in zip(names, column, strict=True):
            boxes[name, is_input] = _Box(box.lines, x, y, width, is_input)
            y += box.height + _GAP_Y
        bottom = max(bottom, y)
        x += width + _GAP_X
    shapes = [*_lines_between(plan, boxes), *(_shape(box) for box in boxes.values())]
    right = x - _GAP_X + _PAD
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right:.0f} {bottom:.0f}" width="{right:.0f}" '
        f'height="{bottom:.0f}" role="img" aria-label="{escape(f"Steps of {plan.name}")}" '
        f'font-family="ui-monospace, monospace" font-size="12" style="max-width:100%;height:auto;'
        f'color:var(--jp-ui-font-color1, currentColor)">{"".join(shapes)}</svg>'
    )


def _lines(step: PlanStep) -> Iterator[str]:
    yield step.name
    yield step.kind
    for block in step.blocks:
        for inner in block:
            depth = "  " * (len(inner.path) - len(step.path) - 1)
            yield f"{depth}· {inner.name.removeprefix(f'{step.name}.')}  {inner.kind}"


def _lines_between(plan: Plan, boxes: dict[tuple[str, bool], _Box]) -> Iterator[str]:
    for step in plan.block.steps:
        target = boxes[step.name, False]
        fields: dict[tuple[str, bool], list[str]] = {}
        for name in step.read_names:
            source = step.sources.get(name)
            key = (name, True) if source is None else (plan.block.steps[source].name, False)
            fields.setdefault(key, []).append(name)
        for key, names in fields.items():
            if (start := boxes.get(key)) is not None:
                yield _curve(start, target, ", ".join(names))


def _curve(start: _Box, target: _Box, fields: str) -> str:
    x1, x2 = start.x + start.width, target.x
    bend = (x1 + x2) / 2
    return (
        f'<path d="M{x1:.0f},{start.middle:.0f} C{bend:.0f},{start.middle:.0f} {bend:.0f},{target.middle:.0f} '
        f'{x2:.0f},{target.middle:.0f}" fill="none" stroke="currentColor" stroke-opacity="0.45">'
        f"<title>{escape(fields)}</title></path>"
    )


def _shape(box: _Box) -> str:
    radius = box.height / 2 if box.is_input else 6
    dashes = ' stroke-dasharray="4 3"' if box.is_input else ""
    texts = "".join(
        f'<text x="{box.x + _PAD:.0f}" y="{box.y + _PAD + _LINE * (number + 0.75):.0f}" fill="currentColor" '
        f'xml:space="preserve"{_weight(number)}>{escape(line)}</text>'
        for number, line in enumerate(box.lines)
    )
    return (
        f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="{radius:.0f}" '
        f'fill="var(--jp-layout-color1, Canvas)" stroke="currentColor" stroke-opacity="0.5"{dashes}/>{texts}'
    )


def _weight(number: int) -> str:
    return ' font-weight="600"' if number == 0 else ' fill-opacity="0.7"'
