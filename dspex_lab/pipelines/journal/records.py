"""What the journal says of runs, as frozen values: one for a run, one for each step that is kept.

They hold bytes where the user's values stand; to read those, the classes of the plan are needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from dspex_lab.calls import Usage
from dspex_lab.pipelines.journal.owner import Owner
from dspex_lab.pipelines.outcome.result import RunState, StepMetrics
from dspex_lab.pipelines.plan.fingerprint import StepPrint
from dspex_lab.pipelines.plan.plan import Plan

__all__ = [
    "INTERRUPTED",
    "KeptStep",
    "RunRecord",
    "count_of_steps",
    "metrics_from_bytes",
    "metrics_to_bytes",
    "prints_from_bytes",
    "prints_to_bytes",
]

#: In place of a state: the run's process went away from it.
INTERRUPTED: Final = "interrupted"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. Times in epoch seconds; ``error`` is ``LabError.to_dict()``; ``steps_done`` of ``step_count`` steps have
    finished, those inside an ``each`` with all of its items; ``inputs`` holds the bytes of those that could be written,
    None for the others."""

    run_id: str
    pipeline: str
    written_state: str
    started_at: float
    changed_at: float
    owner: Owner
    prints: tuple[StepPrint, ...]
    inputs: Mapping[str, bytes | None]
    options: Mapping[str, Any]
    source: str
    step_count: int
    steps_done: int = 0
    tokens: int = 0
    error: Mapping[str, Any] | None = None
    last_step_at: float = 0.0

    @property
    def is_over(self) -> bool:
        return self.written_state == INTERRUPTED or RunState(self.written_state).is_over

    @property
    def is_under_way(self) -> bool:
        """Whether its process lives and has not ended it."""
        return not self.is_over and self.owner.is_alive

    @property
    def state(self) -> str:
        """The run's state as it is, not as it was written last."""
        return self.written_state if self.is_over or self.owner.is_alive else INTERRUPTED

    @property
    def duration_s(self) -> float:
        """From its start to the last that was heard of it."""
        return max(self.changed_at, self.last_step_at) - self.started_at


@dataclass(frozen=True, slots=True)
class KeptStep:
    """One finished execution of a step."""

    key: str
    step: str
    at: float
    metrics: StepMetrics
    outputs: bytes


def count_of_steps(plan: Plan) -> int:
    """The steps that may be kept: those that hold no others."""
    return sum(1 for one in plan.steps if not one.blocks)


def prints_to_bytes(prints: Iterable[StepPrint]) -> bytes:
    """A fingerprint as JSON."""
    return msgspec.json.encode(tuple(prints))


def prints_from_bytes(data: bytes) -> tuple[StepPrint, ...]:
    """The inverse of :func:`prints_to_bytes`."""
    return msgspec.json.decode(data, type=tuple[StepPrint, ...])


def metrics_to_bytes(metrics: StepMetrics) -> bytes:
    """The figures as JSON."""
    return msgspec.json.encode(metrics)


def metrics_from_bytes(data: bytes) -> StepMetrics:
    """The inverse of :func:`metrics_to_bytes`; figures that are not known here are left out."""
    told: dict[str, Any] = msgspec.json.decode(data)
    usage = Usage(**told.pop("usage"))
    known = StepMetrics.__dataclass_fields__
    return StepMetrics(usage=usage, **{name: value for name, value in told.items() if name in known})
