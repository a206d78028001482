"""What a plan is made of: steps in their places, in blocks within blocks, the fields that go in, and warnings.

Frozen values, made by ``compiler``; the whole of them is a :class:`Plan` in ``plan``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dspex_lab.pipelines.steps.fields import Read, Write
from dspex_lab.pipelines.steps.source import StepPath
from dspex_lab.pipelines.steps.step import Leaf, Step
from dspex_lab.router import may_be_straight

__all__ = ["Block", "PlanInput", "PlanStep", "PlanWarning"]


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step in its place. ``sources`` holds, for each field that it reads, the index of the sibling whose value it
    takes (a field that is not there comes from around the block). ``straight`` is the step where it is a plain
    function, of which nothing special is asked."""

    name: str
    path: StepPath
    step: Step
    reads: tuple[Read, ...]
    writes: tuple[Write, ...]
    parent: str | None
    sources: Mapping[str, int]
    blocks: tuple[Block, ...] = ()
    read_names: tuple[str, ...] = field(init=False, compare=False, repr=False)
    write_names: tuple[str, ...] = field(init=False, compare=False, repr=False)
    straight: Leaf | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Asked for at every step of every run.
        step, put = self.step, object.__setattr__
        put(self, "read_names", tuple(dict.fromkeys([one.name for one in self.reads])))
        names = tuple([one.name for one in self.writes])
        own = step.operation.writes if isinstance(step, Leaf) else ()
        # One tuple where it is the operation's own: a plan may have very many steps.
        put(self, "write_names", own if own == names else names)
        is_straight = isinstance(step, Leaf) and may_be_straight(step.operation, step.options)
        put(self, "straight", step if is_straight else None)

    @property
    def needs(self) -> tuple[int, ...]:
        """The siblings whose values it takes, by index."""
        return tuple(sorted(set(self.sources.values())))

    @property
    def kind(self) -> str:
        return self.step.kind

    @property
    def is_optional(self) -> bool:
        """Whether the run goes on without it when it fails."""
        return self.step.is_optional


@dataclass(frozen=True, slots=True)
class Block:
    """Steps that share one set of fields. ``needed_by`` is the inverse of the steps' ``needs``; ``last`` names the
    step whose value of a field the block leaves behind."""

    steps: tuple[PlanStep, ...]
    reads: tuple[Read, ...]
    writes: tuple[Write, ...]
    last: Mapping[str, int]
    needed_by: tuple[tuple[int, ...], ...]
    #: How many others each step waits for, and those that wait for none.
    waits_for: tuple[int, ...] = field(init=False, compare=False, repr=False)
    first: tuple[int, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        waits_for = [0] * len(self.steps)
        for others in self.needed_by:
            for other in others:
                waits_for[other] += 1
        object.__setattr__(self, "waits_for", tuple(waits_for))
        object.__setattr__(self, "first", tuple([index for index, count in enumerate(waits_for) if count == 0]))

    def __iter__(self) -> Iterator[PlanStep]:
        """Every step, each before those inside it."""
        for step in self.steps:
            yield step
            for block in step.blocks:
                yield from block

    def order(self) -> Iterator[int]:
        """The block's own steps by index, each after what it needs."""
        waiting, ready = list(self.waits_for), list(self.first)
        while ready:
            index = ready.pop()
            yield index
            for other in self.needed_by[index]:
                waiting[other] -= 1
                if waiting[other] == 0:
                    ready.append(other)


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
