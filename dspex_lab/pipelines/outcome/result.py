"""What a run comes to: its fields, its steps and what they took. Frozen values; knows nothing of how they came.

The states of a run are here too, in one table.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from dspex_lab.calls import Usage
from dspex_lab.errors import LabError
from dspex_lab.pipelines.outcome.record import Record

__all__ = [
    "TRANSITIONS",
    "Metrics",
    "PlainFigures",
    "RunResult",
    "RunState",
    "StepMetrics",
    "StepStatus",
    "step_metrics",
    "summed",
    "usage_data",
]


_NO_USAGE = Usage()


class RunState(StrEnum):
    """Where a run is."""

    PENDING = "pending"
    RUNNING = "running"
    #: For an answer of people's: at least one question is open.
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        return not TRANSITIONS[self]


#: From each state to those that may follow.
TRANSITIONS: Mapping[RunState, frozenset[RunState]] = {
    RunState.PENDING: frozenset({RunState.RUNNING, RunState.FAILED, RunState.CANCELLED}),
    RunState.RUNNING: frozenset({RunState.WAITING, RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}),
    # Steps beside the question may fail, and the run with them.
    RunState.WAITING: frozenset({RunState.RUNNING, RunState.FAILED, RunState.CANCELLED}),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.CANCELLED: frozenset(),
}


class StepStatus(StrEnum):
    """How a step ended, or that it has not."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """What one step took. Times in seconds; a step that ran several times (in ``each``) is summed up. ``reason`` says
    why a step was skipped."""

    step: str
    status: str
    duration_s: float = 0.0
    usage: Usage = _NO_USAGE
    route: str = ""
    target: str = ""
    worker: str = ""
    queue_s: float = 0.0
    run_s: float = 0.0
    retries: int = 0
    cached: bool = False
    first_token_s: float | None = None
    turns: int = 1
    reason: str = ""

    @property
    def tokens_per_s(self) -> float | None:
        """Output tokens by the time that the worker took, or None when there were none."""
        return self.usage.output_tokens / self.run_s if self.usage.output_tokens and self.run_s > 0 else None


#: The figures of a plain step that ran once in the notebook: its name, duration_s, route, target and run_s.
PlainFigures = tuple[str, float, str, str, float]


def step_metrics(figures: StepMetrics | PlainFigures) -> StepMetrics:
    """The figures as a value; those of plain steps are only made into one when somebody looks at them."""
    if isinstance(figures, StepMetrics):
        return figures
    name, duration_s, route, target, run_s = figures
    return StepMetrics(name, StepStatus.SUCCEEDED.value, duration_s=duration_s, route=route, target=target, run_s=run_s)


def summed(known: StepMetrics, more: StepMetrics) -> StepMetrics:
    """The figures of several turns of one step; a turn that failed marks them all."""
    status = known.status if known.status != StepStatus.SUCCEEDED else more.status
    return replace(
        more,
        status=status,
        duration_s=known.duration_s + more.duration_s,
        usage=known.usage + more.usage,
        queue_s=known.queue_s + more.queue_s,
        run_s=known.run_s + more.run_s,
        retries=known.retries + more.retries,
        first_token_s=known.first_token_s,
        turns=known.turns + 1,
    )


class Metrics(Mapping[str, StepMetrics]):
    """A run's figures: by step, and in all (``usage``, ``duration_s``)."""

    __slots__ = ("_steps", "duration_s")

    def __init__(self, steps: Mapping[str, StepMetrics | PlainFigures], *, duration_s: float) -> None:
        self._steps = dict(steps)
        self.duration_s = duration_s

    @property
    def usage(self) -> Usage:
        used = [one.usage for one in self._steps.values() if isinstance(one, StepMetrics) and one.usage != _NO_USAGE]
        return sum(used, _NO_USAGE)

    def __getitem__(self, step: str) -> StepMetrics:
        return step_metrics(self._steps[step])

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    def __repr__(self) -> str:
        rows = [_row(one) for one in self.values()]
        head = ("step", "status", "route", "time", "tokens", "tok/s", "retries")
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = (
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)
        )
        return "\n".join(line.rstrip() for line in lines)


class RunResult(Record):
    """Every field of a run, with ``steps`` (a record of each step's own fields), ``metrics`` and ``errors`` (of the
    steps that failed while ``continue_on_error``). A field of such a name is reached by item."""

    __slots__ = ("errors", "metrics", "run_id", "steps")
    steps: Mapping[str, Record]
    metrics: Metrics
    errors: Mapping[str, LabError]
    run_id: str

    def __init__(
        self,
        values: Mapping[str, Any],
        *,
        steps: Mapping[str, Record] | None = None,
        metrics: Metrics | None = None,
        errors: Mapping[str, LabError] | None = None,
        run_id: str = "",
    ) -> None:
        super().__init__(values)
        object.__setattr__(self, "steps", {} if steps is None else steps)
        object.__setattr__(self, "metrics", metrics or Metrics({}, duration_s=0.0))
        object.__setattr__(self, "errors", dict(errors or {}))
        object.__setattr__(self, "run_id", run_id)

    def __repr__(self) -> str:
        text = super().__repr__()
        failed = [f"! {name}: {error.message}" for name, error in self.errors.items()]
        return "\n".join((text, *failed))

    def _repr_html_(self) -> str:
        failed = (f"<div>! {html.escape(f'{name}: {error.message}')}</div>" for name, error in self.errors.items())
        return super()._repr_html_() + "".join(failed)


def usage_data(usage: Usage) -> dict[str, Any]:
    """The usage as plain data, for events."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost": usage.cost,
        "lm_calls": usage.lm_calls,
    }


def _row(one: StepMetrics) -> tuple[str, ...]:
    rate = one.tokens_per_s
    return (
        one.step,
        one.status,
        f"{one.route}:{one.target}" if one.route else "",
        f"{one.duration_s:.3f} s",
        str(one.usage.output_tokens or ""),
        f"{rate:.1f}" if rate is not None else "",
        str(one.retries or ""),
    )
