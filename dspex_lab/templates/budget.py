"""The budget of one rendering: how much output, how many loop turns, how much work and how much time it may take.

Every value that a template makes is weighed here before, or as soon as, it is made; so no template can fill the
memory or hang, whatever it multiplies, nests or joins. Knows nothing of Jinja.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

__all__ = ["Budget", "LimitReachedError", "TemplateLimits", "current_budget", "weigh"]

#: A value's characters and elements that a rendering may make, for each character of output that it may give.
_WORK_PER_OUTPUT = 20
_CHECK_TIME_EVERY = 1_024


@dataclass(frozen=True, slots=True)
class TemplateLimits:
    """What one rendering may take: characters of output, turns of all loops together, seconds."""

    max_output_chars: int = 1_000_000
    max_iterations: int = 100_000
    timeout_s: float = 2.0


class LimitReachedError(Exception):
    """A limit was reached; the message says which, in one sentence."""


class Budget:
    """What is left of the limits; used by one rendering, on one thread."""

    __slots__ = ("_deadline", "_iterations", "_limits", "_monotonic", "_output", "_work")

    def __init__(self, limits: TemplateLimits, monotonic: Callable[[], float]) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._deadline = monotonic() + limits.timeout_s
        self._iterations = limits.max_iterations
        self._output = limits.max_output_chars
        self._work = limits.max_output_chars * _WORK_PER_OUTPUT

    def tick(self) -> None:
        """One turn of a loop."""
        self._iterations -= 1
        if self._iterations < 0:
            raise LimitReachedError(f"The loops turn more than {self._limits.max_iterations:,} times.")
        self.check_time()

    def put_out(self, chars: int) -> None:
        """``chars`` characters of output."""
        self._output -= chars
        if self._output < 0:
            raise LimitReachedError(f"The output is longer than {self._limits.max_output_chars:,} characters.")
        self.check_time()

    def charge(self, amount: int) -> None:
        """``amount`` characters or elements that are about to be made."""
        self._work -= amount
        if self._work < 0:
            raise LimitReachedError(
                "The template makes values that are too large: more than"
                f" {self._limits.max_output_chars * _WORK_PER_OUTPUT:,} characters and elements."
            )
        self.check_time()

    def check_time(self) -> None:
        if self._monotonic() > self._deadline:
            raise LimitReachedError(f"Rendering takes longer than {self._limits.timeout_s:g} s.")


#: The budget of the rendering under way in this context.
current_budget: ContextVar[Budget] = ContextVar("dspex_lab_template_budget")


def weigh(value: Any) -> Any:
    """Charge for ``value``, with everything inside it, as often as it occurs there; the value itself comes back.

    A list that holds a list twice weighs twice that list: that is what comparing or printing it would cost.
    """
    if isinstance(value, str):
        current_budget.get().charge(len(value))
    elif isinstance(value, list | tuple | dict | set | frozenset):
        _weigh_container(value, current_budget.get())
    return value


def _weigh_container(container: Any, budget: Budget) -> None:
    pending = [iter(_parts(container))]
    weight = 1
    for number in itertools.count(1):
        part = next(pending[-1], _END)
        if part is _END:
            pending.pop()
            if not pending:
                break
        elif isinstance(part, str | bytes):
            weight += 1 + len(part)
        else:
            weight += 1
            if isinstance(part, list | tuple | Mapping | set | frozenset):
                pending.append(iter(_parts(part)))
        if not number % _CHECK_TIME_EVERY:
            budget.charge(weight)
            weight = 0
    budget.charge(weight)


_END = object()


def _parts(container: Any) -> Any:
    return itertools.chain(container.keys(), container.values()) if isinstance(container, Mapping) else container
