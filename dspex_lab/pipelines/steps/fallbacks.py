"""What ``fallback=`` of a step may be: models, pools, and other steps as implementations that stand in for it.

Pure. That a step can stand in for another is checked where it is written; trying it is the router's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dspex_lab.calls import LmSpec
from dspex_lab.errors import ConfigurationError, PipelineError
from dspex_lab.pipelines.steps.step import HasStep, Leaf, Step, as_step
from dspex_lab.router import Implementation, Operation

__all__ = ["Fallback", "fallbacks", "with_fitting_fallbacks"]

#: What the router takes.
Fallback = LmSpec | str | Implementation


def fallbacks(given: Any) -> tuple[Fallback, ...]:
    """What a user gave as ``fallback=``: one, or several in the order in which they are tried."""
    is_one = isinstance(given, LmSpec | str | Operation | Implementation | HasStep | Step) or callable(given)
    if not is_one and not isinstance(given, Iterable):
        raise ConfigurationError(
            f"A {type(given).__name__} is no fallback.",
            "fallback",
            "a model, a pool's name or a step",
            repr(given),
            hint="For example fallback=['openai/gpt-4o-mini', native(guess)].",
        )
    return tuple(_fallback(one) for one in ((given,) if is_one else given))


def _fallback(given: Any) -> Fallback:
    if isinstance(given, LmSpec | str | Implementation):
        return given
    if isinstance(given, Operation):
        return Implementation(given)
    step = as_step(given, "fallback")
    if not isinstance(step, Leaf):
        raise PipelineError(
            f"A step falls back to one operation, not to {step.kind}.", hint="Give a predict, a native or the like."
        )
    # A registered function says nothing of what it reads unless it was said for it.
    takes = tuple(read.name for read in step.reads) if step.reads or not step.operation.native_name else None
    requires = tuple(read.name for read in step.reads if read.is_required)
    return Implementation(step.operation, step.options, takes, requires)


def with_fitting_fallbacks(leaf: Leaf) -> Leaf:
    """``leaf``, all of whose fallbacks can stand in for it. Raises ``PipelineError``."""
    known = {read.name for read in leaf.reads}
    for one in leaf.options.fallback:
        if isinstance(one, Implementation):
            _check(leaf, one, known)
    return leaf


def _check(leaf: Leaf, other: Implementation, known: set[str]) -> None:
    name = other.operation.name
    unknown = [one for one in other.requires if one not in known]
    if unknown:
        raise PipelineError(
            f"The fallback {name} reads {unknown[0]}, which {leaf.operation.name} does not.",
            hint=f"It may read {', '.join(sorted(known)) or 'nothing'}.",
        )
    wanted = [write.name for write in leaf.writes or ()]
    made = other.operation.writes
    is_one_for_one = len(made) == 1 and (leaf.writes is None or len(wanted) == 1)
    missing = [one for one in wanted if one not in made]
    if made and not is_one_for_one and (missing or leaf.writes is None):
        raise PipelineError(
            f"The fallback {name} writes {', '.join(made)}, and not {', '.join(missing) or 'one value'}.",
            hint=f"Let it write what {leaf.operation.name} does.",
        )
