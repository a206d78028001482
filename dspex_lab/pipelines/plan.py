"""The plan's values: what runs after what, what goes in and what comes out.

Made by ``compiler``; carried out by ``runner``. Frozen, and knows nothing of either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dspex_lab.pipelines.fields import Read, Write, type_text
from dspex_lab.pipelines.source import NO_SOURCE, Source, StepPath
from dspex_lab.pipelines.steps import Leaf, Step
from dspex_lab.router import may_be_straight

__all__ = ["Block", "Plan", "PlanInput", "PlanStep", "PlanWarning"]


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step in its place. ``sources`` holds, for each field that it reads, the index of the sibling whose value it
    takes (a field that is not there comes from around the block); ``needs`` are those siblings. ``is_straight``: it is
    a plain function, of which nothing special is asked."""

    name: str
    path: StepPath
    step: Step
    reads: tuple[Read, ...]
    writes: tuple[Write, ...]
    parent: str | None
    sources: Mapping[str, int]
    needs: tuple[int, ...]
    blocks: tuple[Block, ...] = ()
    read_names: tuple[str, ...] = field(init=False, compare=False, repr=False)
    write_names: tuple[str, ...] = field(init=False, compare=False, repr=False)
    is_straight: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Asked for at every step of every run.
        step, put = self.step, object.__setattr__
        put(self, "read_names", tuple(dict.fromkeys(one.name for one in self.reads)))
        put(self, "write_names", tuple(one.name for one in self.writes))
        put(self, "is_straight", isinstance(step, Leaf) and may_be_straight(step.operation, step.options))

    @property
    def kind(self) -> str:
        return self.step.kind

    @property
    def is_optional(self) -> bool:
        """Whether the run goes on without it when it fails."""
        return isinstance(self.step, Leaf) and self.step.is_optional


@dataclass(frozen=True, slots=True)
class Block:
    """Steps that share one set of fields. ``needed_by`` is the inverse of the steps' ``needs``; ``last`` names the
    step whose value of a field the block leaves behind."""

    steps: tuple[PlanStep, ...]
    reads: tuple[Read, ...]
    writes: tuple[Write, ...]
    last: Mapping[str, int]
    needed_by: tuple[tuple[int, ...], ...]

    def __iter__(self) -> Iterator[PlanStep]:
        """Every step, each before those inside it."""
        for step in self.steps:
            yield step
            for block in step.blocks:
                yield from block


@dataclass(frozen=True, slots=True)
class PlanInput:
    """A field that nobody writes and somebody reads."""

    name: str
    readers: tuple[Read, ...]

    @property
    def is_required(self) -> bool:
        return any(one.is_required for one in self.readers)

    @property
    def annotation(self) -> Any:
        """The first type that a reader asks for."""
        return next((one.annotation for one in self.readers if one.annotation is not Any), Any)


@dataclass(frozen=True, slots=True)
class PlanWarning:
    """Something in a plan that can run, but hardly as it is meant. ``where`` is the user's line as text."""

    message: str
    step: str | None = None
    where: str = ""
    hint: str = ""

    def __str__(self) -> str:
        hint = f"  Hint: {self.hint}" if self.hint else ""
        return "\n".join(part for part in (f"! {self.message}", self.where, hint) if part)


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
        for index in _in_order(self.block):
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


def _in_order(block: Block) -> Iterator[int]:
    """The block's steps by index, each after what it needs."""
    waiting = [len(one.needs) for one in block.steps]
    ready = [index for index, count in enumerate(waiting) if count == 0]
    while ready:
        index = ready.pop()
        yield index
        for other in block.needed_by[index]:
            waiting[other] -= 1
            if waiting[other] == 0:
                ready.append(other)
