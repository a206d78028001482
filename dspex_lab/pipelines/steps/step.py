"""What a pipeline is made of: frozen steps, and nothing that acts.

The functions that make them are in ``constructors``; what they mean together is worked out by ``plan``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from dspex_lab.errors import PipelineError
from dspex_lab.pipelines.steps.fields import Read, Write
from dspex_lab.router import Operation, Options

__all__ = ["Each", "HasStep", "Leaf", "Nested", "Parallel", "Step", "When", "as_step"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One operation. ``writes`` None: one field that is called like the step. Where an optional step fails, whatever
    its kind, its fields are None and the run goes on."""

    operation: Operation
    options: Options
    reads: tuple[Read, ...]
    writes: tuple[Write, ...] | None
    overwrites: bool = False
    returns: Any = Any
    is_optional: bool = False

    @property
    def kind(self) -> str:
        return self.operation.kind

    def doing(self, operation: Operation) -> Leaf:
        """The same step with another operation."""
        return Leaf(operation, self.options, self.reads, self.writes, self.overwrites, self.returns, self.is_optional)


@dataclass(frozen=True, slots=True)
class Parallel:
    """Steps that run at the same time, each by its own name."""

    steps: Mapping[str, Step]
    is_optional: bool = False
    kind: str = "parallel"


@dataclass(frozen=True, slots=True)
class Nested:
    """A pipeline inside another: its steps share the fields that it reads."""

    steps: Mapping[str, Step]
    is_optional: bool = False
    kind: str = "pipeline"


@dataclass(frozen=True, slots=True)
class When:
    """One of two steps, by what ``condition`` says of the fields; ``reads`` None: it may look at all of them."""

    condition: Callable[[Any], Any]
    reads: tuple[str, ...] | None
    then: Step
    otherwise: Step | None
    is_optional: bool = False
    kind: str = "when"


@dataclass(frozen=True, slots=True)
class Each:
    """A step for every item of the list in the field ``over``, at most ``concurrency`` at a time; the item is the
    step's field ``item``. What the step writes, this writes as lists."""

    step: Step
    over: str
    item: str
    concurrency: int
    is_optional: bool = False
    kind: str = "each"


Step = Leaf | Parallel | Nested | When | Each


@runtime_checkable
class HasStep(Protocol):
    """A program: what can also be run by itself."""

    @property
    def step(self) -> Step: ...


def as_step(value: Any, name: str = "step") -> Step:
    """``value`` as a step. Raises ``PipelineError`` with a hint when it is none."""
    if isinstance(value, Leaf | Parallel | Nested | When | Each):
        return value
    if isinstance(value, HasStep):
        return value.step
    if callable(value) and not isinstance(value, type):
        hint = f"Wrap the function: native({getattr(value, '__name__', 'function')})."
    elif isinstance(value, str) and "->" in value:
        hint = f"Say what is to be done with the signature: predict({value!r})."
    else:
        hint = "A step is made by predict, chain_of_thought, react, native, template, ask, parallel, when or each."
    raise PipelineError(f"{name} is no step but {_article(type(value).__name__)}.", name, hint=hint)


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
