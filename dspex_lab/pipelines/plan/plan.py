"""The plan's values: what runs after what, what goes in and what comes out.

Made by ``compiler``; carried out by ``runner``. Frozen, and knows nothing of either.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dspex_lab.pipelines.plan.block import Block, PlanInput, PlanStep, PlanWarning
from dspex_lab.pipelines.plan.graph import draw, draw_page
from dspex_lab.pipelines.steps.fields import Write, type_text
from dspex_lab.pipelines.steps.source import NO_SOURCE, Source

__all__ = ["Block", "Plan", "PlanInput", "PlanStep", "PlanWarning"]


@dataclass(frozen=True)  # with no slots: each plan is described once, however often it runs
class Plan:
    """A pipeline that can run."""

    name: str
    block: Block
    inputs: tuple[PlanInput, ...]
    source: Source = NO_SOURCE
    warnings: tuple[PlanWarning, ...] = ()

    @property
    def steps(self) -> tuple[PlanStep, ...]:
        """Every step, those inside others included."""
        return tuple(self.block)

    @property
    def outputs(self) -> tuple[Write, ...]:
        return self.block.writes

    @property
    def waves(self) -> tuple[tuple[str, ...], ...]:
        """The outer steps' names by the earliest turn in which each can run."""
        depth: dict[int, int] = {}
        for index in self.block.order():
            depth[index] = 1 + max((depth[need] for need in self.block.steps[index].needs), default=-1)
        waves: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
        for index, step in enumerate(self.block.steps):
            waves[depth[index]].append(step.name)
        return tuple(map(tuple, waves))

    @cached_property
    def description(self) -> list[dict[str, Any]]:
        """The steps as plain data, not to be changed: ``{"name", "kind", "reads", "writes", "parent"}``."""
        return [
            {
                "name": one.name,
                "kind": one.kind,
                "reads": list(one.read_names),
                "writes": list(one.write_names),
                "parent": one.parent,
            }
            for one in self.block
        ]

    def _repr_svg_(self) -> str:
        return draw(self)

    def _repr_html_(self) -> str:
        return draw_page(self)

    def __repr__(self) -> str:
        given = ", ".join(_field_text(one.name, one.annotation) for one in self.inputs)
        lines = [f"{self.name}({given})"]
        turns = {name: turn for turn, wave in enumerate(self.waves, 1) for name in wave}
        rows = [
            (
                str(turns.get(one.name, "")),
                "  " * (len(one.path) - 1) + one.name,
                one.kind,
                f"{', '.join(one.read_names)} → {', '.join(one.write_names)}",
            )
            for one in self.block
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines += [
            f"  {turn:>{widths[0]}}  {name:<{widths[1]}}  {kind:<{widths[2]}}  {flow}"
            for turn, name, kind, flow in rows
        ]
        return "\n".join((*lines, *map(str, self.warnings)))


def _field_text(name: str, annotation: Any) -> str:
    return name if annotation is Any else f"{name}: {type_text(annotation)}"
