"""A plan as a picture, and how far a run of it has come: SVG, drawn here and now, with no other program.

Pure text out of values. Inputs stand on the left, then one column for each turn; a line is what flows. A state is a
sign and words before it is a colour, and the colours are the page's own or fit light and dark alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol

from dspex_lab.pipelines.plan.block import Block, PlanInput, PlanStep, PlanWarning
from dspex_lab.pipelines.plan.layout import LINE, PAD, SIGN, TITLE, Box, Flow, layout
from dspex_lab.telemetry.run_view import RunView, StepView

__all__ = ["Drawable", "Graph", "box_lines", "draw", "draw_page"]

#: More than these nobody can see, and no browser likes.
_MOST_STEPS = 300
_STATES = ("pending", "running", "succeeded", "cached", "failed", "skipped", "cancelled")
_STYLE = """
.dxg{--ink:var(--jp-ui-font-color1,#1f2328);--paper:var(--jp-layout-color1,#fff);--line:#8b949e;color:var(--ink)}
@media (prefers-color-scheme:dark){.dxg{--ink:var(--jp-ui-font-color1,#e6edf3);--paper:var(--jp-layout-color1,#161b22)}}
.dxg text{fill:var(--ink)}.dxg .n{font-weight:600}.dxg .d{fill-opacity:.68}
.dxg .b{fill:var(--paper);stroke:var(--line)}.dxg .f{fill:none;stroke:var(--line);stroke-opacity:.75}
.dxg .g{fill:var(--line);fill-opacity:.07;stroke:var(--line);stroke-opacity:.8}.dxg .i{stroke-dasharray:4 3}
.dxg .w{stroke:none;fill:var(--s,none);fill-opacity:.12}
.dxg .x{stroke:var(--s,var(--line));stroke-width:1.6;fill:none}
.dxg .x.g{fill:var(--s,var(--line));fill-opacity:.07;stroke-width:1.2}
.dxg .h{fill:var(--line)}.dxg text.m{fill:var(--s,var(--ink));font-weight:700}
.dxg .running{--s:#3b82f6}.dxg .succeeded{--s:#2da05a}.dxg .cached{--s:#8b6cf0}.dxg .failed{--s:#dc4c4c}
.dxg .cancelled{--s:#c98500}.dxg .skipped,.dxg .pending{--s:var(--line)}
.dxg .skipped .b,.dxg .skipped .x,.dxg .pending .x{stroke-dasharray:4 3}
.dxg .skipped>text,.dxg .pending>text{fill-opacity:.62}
""".replace("\n", "")
_SIGNS: Mapping[str, str] = {
    "pending": "○",
    "running": "▶",
    "succeeded": "✓",
    "cached": "⟳",
    "failed": "✕",
    "skipped": "–",
    "cancelled": "■",
}


class Drawable(Protocol):
    """What can be drawn: a plan."""

    @property
    def name(self) -> str: ...

    @property
    def block(self) -> Block: ...

    @property
    def inputs(self) -> Sequence[PlanInput]: ...

    @property
    def warnings(self) -> Sequence[PlanWarning]: ...


@dataclass(frozen=True, slots=True)
class Graph:
    """The picture of a run as it was when it was asked for: notebooks show it."""

    plan: Drawable
    view: RunView

    def _repr_svg_(self) -> str:
        return draw(self.plan, self.view)

    def _repr_html_(self) -> str:
        return draw_page(self.plan, self.view)

    def __repr__(self) -> str:
        rows = [_state(one) for one in self.view.steps]
        return "\n".join((self.plan.name, *(f"  {_SIGNS[state]} {name}  {words}" for name, state, words in rows)))


def draw_page(plan: Drawable, view: RunView | None = None) -> str:
    """The picture with the plan's warnings, as HTML: inline it takes the page's own colours, as an image it could
    not."""
    return f'<div style="overflow-x:auto">{draw(plan, view)}</div>{_warnings(plan.warnings)}'


def draw(plan: Drawable, view: RunView | None = None) -> str:
    """The plan as an SVG element; with ``view``, every step with its state, its time and its tokens."""
    steps = tuple(plan.block)
    if len(steps) > _MOST_STEPS:
        return _too_many(plan, len(steps))
    told = {one.name: one for one in view.steps} if view is not None else {}
    states = {step.name: _state(told.get(step.name) or StepView(step.name)) for step in steps} if view else {}
    lines = {step.name: tuple(box_lines(step, states.get(step.name))) for step in steps}
    picture = layout(plan.block, plan.inputs, lines)
    shapes = [*map(_curve, picture.flows), *(shape for box in picture.boxes for shape in _shapes(box, states))]
    what = f"Steps of {plan.name}" if view is None else f"The run of {plan.name}: {view.status}"
    return _svg(what, picture.width, picture.height, "".join(shapes))


def _svg(label: str, width: float, height: float, inside: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="dxg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" aria-label="{escape(label)}" '
        f'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="11.5">'
        f"<style>{_STYLE}</style>"
        '<defs><marker id="dxg-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path class="h" d="M0,0.8 L7,4 L0,7.2 Z"/></marker></defs>{inside}</svg>'
    )


def _too_many(plan: Drawable, count: int) -> str:
    text = f"{plan.name}: {count:,} steps, too many for a picture"
    return _svg(text, len(text) * 7.2 + 20, 36, f'<text x="10" y="23">{escape(text)}</text>')


def box_lines(step: PlanStep, state: tuple[str, str, str] | None = None) -> Iterator[str]:
    """The words in a step's box: its name, what it is and writes, and how it went."""
    yield step.name.rpartition(".")[2] if step.parent and "." in step.name else step.name
    if step.blocks:
        yield _title(step, state)
        return
    written = ", ".join(step.write_names)
    shown = written if len(written) <= 28 else f"{written[:27]}…"
    is_telling = step.write_names != (step.name,) and bool(written)
    optional = "optional " if step.is_optional else ""
    yield f"{optional}{step.kind}{f' → {shown}' if is_telling else ''}"
    if state is not None:
        yield state[2] or state[1]


def _state(step: StepView) -> tuple[str, str, str]:
    """A step's name, its state, and what there is to say of it."""
    state = str(step.status)
    if state == "succeeded" and step.cached:
        state = "cached"
    words = [state] if state not in ("succeeded", "running", "pending") else []
    if step.duration_s is not None and state not in ("skipped", "cached"):
        words.append(_time(step.duration_s))
    elif state in ("running", "pending"):
        words.append("running …" if state == "running" else "waiting")
    if step.output_tokens:
        words.append(f"{step.output_tokens:,} tok")
    if step.retries:
        words.append(f"{step.retries} retr{'y' if step.retries == 1 else 'ies'}")
    return step.name, state if state in _STATES else "running", " · ".join(words)


def _time(seconds: float) -> str:
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms" if seconds >= 0.001 else f"{seconds * 1e6:.0f} µs"
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


def _curve(flow: Flow) -> str:
    x1, x2, y1, y2 = flow.source.x + flow.source.width, flow.target.x - 1, flow.source.middle, flow.target.middle
    bend = min(60.0, (x2 - x1) / 2)
    return (
        f'<path class="f" marker-end="url(#dxg-arrow)" d="M{x1:.0f},{y1:.1f} C{x1 + bend:.0f},{y1:.1f} '
        f'{x2 - bend:.0f},{y2:.1f} {x2:.0f},{y2:.1f}"><title>{escape(", ".join(flow.fields))}</title></path>'
    )


def _shapes(box: Box, states: Mapping[str, tuple[str, str, str]]) -> Iterator[str]:
    if box.step is None:
        radius = f"{box.height / 2:.0f}"
        yield f"<g>{_rect(box, 'b i', radius)}{_text(box.x + PAD + 3, box.y + LINE + 1, box.lines[0], '')}</g>"
        return
    found = states.get(box.step.name)
    state = found[1] if found else ""
    yield f'<g class="{state}">' if state else "<g>"
    yield f"<title>{escape(_tip(box.step, found))}</title>"
    left = box.x + PAD + (SIGN if state else 0)
    if box.inside:
        if box.kind == "each":  # many of the same
            yield _rect(box, "b", "8", shift=4)
        yield _rect(box, f"b{' i' if box.step.is_optional else ''}", "8") + _rect(box, "g x" if state else "g", "8")
        title = f'{escape(box.lines[0])}<tspan class="d" font-weight="400">  {escape(box.lines[1])}</tspan>'
        yield _raw_text(left, box.y + TITLE * 0.66, title, "n")
    else:
        yield _rect(box, f"b{' i' if box.step.is_optional else ''}", "6")
        if state:
            yield _rect(box, "w", "6") + _rect(box, "x", "6")
        for number, line in enumerate(box.lines):
            x = left if number == 0 else box.x + PAD
            yield _text(x, box.y + PAD + LINE * (number + 0.68), line, "n" if number == 0 else "d")
    if state:
        yield _text(box.x + PAD, box.y + (TITLE * 0.66 if box.inside else PAD + LINE * 0.68), _SIGNS[state], "m")
    yield "</g>"
    yield from map(_curve, box.flows)
    for one in box.inside:
        yield from _shapes(one, states)


def _title(step: PlanStep, found: tuple[str, str, str] | None) -> str:
    words = [step.kind]
    if step.kind == "each":
        words.append(f"over {getattr(step.step, 'over', '')}")
    if found and found[2]:
        words.append(found[2])
    return " · ".join(words)


def _tip(step: PlanStep, found: tuple[str, str, str] | None) -> str:
    flow = f"{', '.join(step.read_names)} → {', '.join(step.write_names)}"
    return f"{step.name} ({step.kind})\n{flow}" + (f"\n{found[1]} {found[2]}" if found else "")


def _rect(box: Box, style: str, radius: str, *, shift: float = 0.0) -> str:
    return (
        f'<rect class="{style}" x="{box.x + shift:.1f}" y="{box.y + shift:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="{radius}"/>'
    )


def _text(x: float, y: float, words: str, style: str) -> str:
    return _raw_text(x, y, escape(words), style)


def _raw_text(x: float, y: float, markup: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" xml:space="preserve">{markup}</text>'


def _warnings(warnings: Sequence[PlanWarning]) -> str:
    rows = "".join(
        f"<li><b>{escape(one.message)}</b>{f' {escape(one.hint)}' if one.hint else ''}"
        f"{f'<pre style=margin:0>{escape(one.where)}</pre>' if one.where else ''}</li>"
        for one in warnings
    )
    return f'<ul role="note" aria-label="Warnings" style="margin:4px 0;padding-left:20px">{rows}</ul>' if rows else ""
