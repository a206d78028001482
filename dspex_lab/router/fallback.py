"""Falling back: what else can be tried when a model or a pool fails for good.

Pure: options and errors in, further options out. Knows nothing of calls.
"""

from __future__ import annotations

from dataclasses import replace

from dspex_lab.calls import LmSpec
from dspex_lab.errors import (
    CircuitOpen,
    DeadlineExceeded,
    LabError,
    ModelError,
    PoolSaturated,
    ValidationError,
    WorkerLost,
    WorkerMemoryExceeded,
)
from dspex_lab.router.operation import Options

__all__ = ["alternatives", "may_fall_back"]

#: What another model or pool may do better. A mistake in the user's own code stays one everywhere.
_CURABLE = (
    CircuitOpen,
    DeadlineExceeded,
    ModelError,
    PoolSaturated,
    ValidationError,
    WorkerLost,
    WorkerMemoryExceeded,
)


def alternatives(options: Options) -> tuple[Options, ...]:
    """The options themselves, then one for each fallback: a model (``provider/name`` or a spec), or a pool's name."""
    return (options, *(_instead(options, one) for one in options.fallback))


def may_fall_back(error: LabError) -> bool:
    """Whether a next alternative is worth a try after ``error``."""
    return isinstance(error, _CURABLE)


def _instead(options: Options, other: LmSpec | str) -> Options:
    if isinstance(other, str) and "/" not in other:
        return replace(options, pool=other)
    return replace(options, lm=other)
