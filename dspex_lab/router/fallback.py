"""Falling back: what else can be tried when a model, a pool or an implementation fails for good.

Pure: operations, options and errors in, further alternatives out. Knows nothing of calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dspex_lab.calls import LmSpec
from dspex_lab.errors import (
    BudgetExceeded,
    Cancelled,
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    ModelError,
    PoolSaturated,
    SignatureError,
    ValidationError,
    WorkerLost,
    WorkerMemoryExceeded,
)
from dspex_lab.router.operation import Implementation, Operation, Options

__all__ = ["Alternative", "alternatives", "may_fall_back"]

#: What another model or pool may do better. A mistake in the user's own code stays one there.
_CURABLE = (
    CircuitOpen,
    DeadlineExceeded,
    ModelError,
    PoolSaturated,
    ValidationError,
    WorkerLost,
    WorkerMemoryExceeded,
)
#: What no other implementation does better either.
_LASTING = (BudgetExceeded, Cancelled, ConfigurationError, SignatureError)


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to do ``main``: by itself, or by another operation that takes ``takes`` of its inputs (None: all)."""

    main: Operation
    operation: Operation
    options: Options
    takes: tuple[str, ...] | None = None

    @property
    def is_other(self) -> bool:
        """Whether it is another implementation, not only another place."""
        return self.operation is not self.main

    def inputs(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Those of the inputs that it takes."""
        return given if self.takes is None else {name: given[name] for name in self.takes if name in given}

    def outputs(self, made: Mapping[str, Any]) -> Mapping[str, Any]:
        """What it made, as outputs of ``main`` and by its signature. Raises ``ValidationError``, or ``TypeError`` when
        one is missing."""
        if not self.is_other:
            return made
        names = self.main.writes
        if len(names) == len(self.operation.writes) == 1:
            made = {**made, names[0]: made[self.operation.writes[0]]}
        missing = [name for name in names if name not in made]
        if missing:
            raise TypeError(f"{self.operation.name} should return {', '.join(names)}, and returned no {missing[0]}")
        if self.main.signature is None:
            return made
        return {**made, **self.main.signature.validator.validate_outputs({name: made[name] for name in names})}


def alternatives(operation: Operation, options: Options) -> Iterator[Alternative]:
    """The operation as it is, then one for each fallback: a model (``provider/name`` or a spec), a pool's name, or
    another implementation with fallbacks of its own."""
    return _alternatives(Alternative(operation, operation, options))


def may_fall_back(error: Exception, other: Alternative) -> bool:
    """Whether ``other`` is worth a try after ``error``."""
    return isinstance(error, _CURABLE) or (other.is_other and not isinstance(error, _LASTING))


def _alternatives(first: Alternative) -> Iterator[Alternative]:
    yield first
    for other in first.options.fallback:
        if isinstance(other, Implementation):
            yield from _alternatives(_implemented(first, other))
        else:
            yield replace(first, options=_instead(first.options, other))


def _implemented(first: Alternative, other: Implementation) -> Alternative:
    operation = other.operation
    if not operation.writes:
        operation = replace(operation, writes=first.main.writes)
    options = other.options
    if options.stream is None:
        options = replace(options, stream=first.options.stream)
    return Alternative(first.main, operation, options, other.takes)


def _instead(options: Options, other: LmSpec | str) -> Options:
    if isinstance(other, str) and "/" not in other:
        return replace(options, pool=other)
    return replace(options, lm=other)
