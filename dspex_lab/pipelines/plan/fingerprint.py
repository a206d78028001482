"""What a plan is, as text that stays the same from process to process: to tell whether it is still the same plan.

A fingerprint has a part for each step: its shape (name, kind, fields, place), which decides what can follow from
what, and its content (signature, instructions, demos, the code of functions) as far as that is the same tomorrow.
What code does is what the cache of results holds it to be; what its names mean may change, and a run still go on.
Options (pools, models, timeouts) are no part of it. Pure.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any

from dspex_lab.cache import content_of
from dspex_lab.pipelines.plan.plan import Plan, PlanStep
from dspex_lab.pipelines.steps.step import Each, Leaf, When
from dspex_lab.signatures import to_plain

__all__ = ["StepPrint", "differing", "fingerprint"]

#: In a repr that is another one in each process.
_ADDRESS = " at 0x"
#: Byte code means something to one version of Python only.
_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


@dataclass(frozen=True, slots=True)
class StepPrint:
    """One step: digests of its shape and of its content ("": nothing in it is the same tomorrow)."""

    name: str
    shape: str
    content: str


def fingerprint(plan: Plan) -> tuple[StepPrint, ...]:
    """The parts of ``plan``, each step before those inside it."""
    return tuple(StepPrint(one.name, _digest(_shape(one)), _content(one)) for one in plan.steps)


def differing(before: Iterable[StepPrint], now: Iterable[StepPrint], finished: Iterable[str]) -> str | None:
    """The first step by which two plans differ, or None. The content of a step that has not ``finished`` may change:
    that is how one mends it."""
    known, done = {one.name: one for one in before}, set(finished)
    for one in now:
        other = known.pop(one.name, None)
        if other is None or other.shape != one.shape:
            return one.name
        if one.name in done and not _is_same_content(other.content, one.content):
            return one.name
    return next(iter(known), None)


def _is_same_content(one: str, other: str) -> bool:
    versions = {text.split(" ")[0] for text in (one, other)}
    return one == other or len(versions) > 1


def _shape(step: PlanStep) -> tuple[Any, ...]:
    sources = tuple(sorted(step.sources.items()))
    over = (step.step.over, step.step.item) if isinstance(step.step, Each) else ()
    return (step.name, step.kind, step.path, step.parent, step.read_names, step.write_names, sources, over)


def _content(step: PlanStep) -> str:
    one = step.step
    if isinstance(one, When):
        return f"{_PYTHON} {_digest(_function(one.condition))}"
    if not isinstance(one, Leaf):
        return ""
    operation, signature, module = one.operation, one.operation.signature, one.operation.module
    functions = (*operation.tools,) if operation.function is None else (operation.function, *operation.tools)
    parts = (
        operation.native_name,
        _plain_settings(operation.settings) if operation.settings else (),
        () if signature is None else (signature.signature.text, signature.name, signature.instructions),
        *map(_function, functions),
        "" if module is None else module if isinstance(module, str) else type(module).__qualname__,
    )
    return f"{_PYTHON} {_digest(parts)}"


def _plain_settings(settings: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    texts = ((name, repr(to_plain(value))) for name, value in settings.items())
    return tuple(sorted((name, "" if _ADDRESS in text else text) for name, text in texts))


def _function(function: Callable[..., Any]) -> tuple[Any, ...]:
    """What a function does, by its code; what its defaults and its closure hold is left out unless it is plain."""
    wrapped: Any = inspect.unwrap(getattr(function, "function", function))
    wrapped = getattr(wrapped, "func", wrapped)  # a partial's
    text = getattr(getattr(function, "template", None), "text", None)
    code = getattr(getattr(wrapped, "__func__", wrapped), "__code__", None)
    name = getattr(wrapped, "__qualname__", type(wrapped).__qualname__)
    defaults = [value for value in getattr(wrapped, "__defaults__", None) or () if _is_plain(value)]
    return (name, text or "", repr(defaults), code)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


@functools.lru_cache(maxsize=4096)  # every run of a plan asks for the same
def _digest(parts: tuple[Any, ...]) -> str:
    return hashlib.sha256(repr(_told(parts)).encode("utf-8", "backslashreplace")).hexdigest()[:24]


def _told(part: Any) -> Any:
    """A part of a plan with all code in it as what it does; not where it stands."""
    if isinstance(part, CodeType):
        return content_of(part)
    return tuple(map(_told, part)) if isinstance(part, tuple) else part
