"""A plan with other options for some of its steps: what ``pipeline.options(steps=...)`` makes.

Pure; a name or an option that is not known is an error here, before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from dspex_lab.errors import ConfigurationError, PipelineError
from dspex_lab.pipelines.plan.plan import Block, Plan, PlanStep
from dspex_lab.pipelines.steps.constructors import option_values
from dspex_lab.pipelines.steps.fallbacks import with_fitting_fallbacks
from dspex_lab.pipelines.steps.step import Leaf

__all__ = ["overridden"]

#: What the plan itself is made of.
_PLANNED = frozenset({"optional", "overwrite"})
Given = Mapping[str, Mapping[str, Any]]


def overridden(plan: Plan, given: Given) -> Plan:
    """``plan`` with the options ``given`` by step name. Raises ``PipelineError`` and ``ConfigurationError``."""
    if not given:
        return plan
    known = {name for step in plan.block for name in _names(step)}
    for name in given:
        if name not in known:
            near = get_close_matches(name, sorted(known), n=1)
            names = ", ".join(step.name for step in plan.block)
            raise PipelineError(
                f"{plan.name} has no step {name}.",
                name,
                hint=f"Did you mean {near[0]!r}? It has {names}." if near else f"It has {names}.",
            )
    checked = {name: _values(name, options) for name, options in given.items()}
    return replace(plan, block=_block(plan.block, checked, {}))


def _names(step: PlanStep) -> Iterator[str]:
    """What a step may be called: by its name, or by the whole way to it."""
    yield step.name
    if len(step.path) > 1:
        yield ".".join(step.path)


def _values(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    for one in _PLANNED & options.keys():
        raise ConfigurationError(
            f"{one} of {name} cannot be changed for a run: the plan rests on it.", one, "an option of a run"
        )
    return option_values(options)


def _block(block: Block, given: Given, around: Mapping[str, Any]) -> Block:
    return replace(block, steps=tuple(_step(one, given, around) for one in block.steps))


def _step(step: PlanStep, given: Given, around: Mapping[str, Any]) -> PlanStep:
    values = dict(around)
    for name in _names(step):
        values |= given.get(name, {})
    blocks = tuple(_block(block, given, values) for block in step.blocks)
    if not isinstance(step.step, Leaf):
        return replace(step, blocks=blocks)
    if not values:
        return replace(step, blocks=blocks)
    leaf = replace(step.step, options=replace(step.step.options, **values))
    return replace(step, step=with_fitting_fallbacks(leaf), blocks=blocks)
