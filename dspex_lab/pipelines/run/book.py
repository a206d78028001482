"""The book of a run: what each step gave and took and how it failed, told as it is written.

Safe from any thread. Writes ``pipeline.step`` and ``error.pipeline``; knows nothing of what runs when.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from dspex_lab.calls import TraceContext, Usage
from dspex_lab.clock import Clock
from dspex_lab.errors import LabError
from dspex_lab.pipelines.outcome.memory import Remembered
from dspex_lab.pipelines.outcome.plain import plain_values
from dspex_lab.pipelines.outcome.result import PlainFigures, StepMetrics, StepStatus, step_metrics, summed, usage_data
from dspex_lab.pipelines.plan.plan import PlanStep
from dspex_lab.pipelines.run.failures import as_lab_error
from dspex_lab.router import Decision, EmitEvent, Outcome

__all__ = ["RunBook"]

_NONE = usage_data(Usage())
_RUNNING, _SUCCEEDED = StepStatus.RUNNING.value, StepStatus.SUCCEEDED.value


class RunBook:
    """``figures``, ``outputs`` and ``errors`` grow by step name while the run goes on."""

    def __init__(self, run_id: str, emit: EmitEvent, clock: Clock) -> None:
        self._run_id = run_id
        self._emit = emit
        self._lock = threading.Lock()
        self._now = clock.monotonic
        self.figures: dict[str, StepMetrics | PlainFigures] = {}
        self.outputs: dict[str, Mapping[str, Any]] = {}
        self.errors: dict[str, LabError] = {}

    def began(self, step: PlanStep, trace: TraceContext | None = None, parent: str = "") -> float:
        """The step runs; the moment, for what ends it. ``trace`` is its place in the run's trace, ``parent`` the span
        of the step that it is part of."""
        if parent:
            self._emit("pipeline.step", trace, run_id=self._run_id, step=step.name, status=_RUNNING, parent=parent)
        else:
            self._emit("pipeline.step", trace, run_id=self._run_id, step=step.name, status=_RUNNING)
        return self._now()

    def succeeded(
        self,
        step: PlanStep,
        started: float,
        outputs: Mapping[str, Any],
        outcome: Outcome | None,
        trace: TraceContext | None = None,
    ) -> StepMetrics:
        """The step ended well; its figures. ``outcome`` is None for one that is made of others."""
        duration_s = self._now() - started
        self.outputs[step.name] = outputs
        if outcome is None:
            figures = StepMetrics(step.name, _SUCCEEDED, duration_s)
            self._count(step.name, figures)
            self._tell(step, _SUCCEEDED, trace, duration_s=duration_s, outputs=plain_values(outputs))
            return figures
        figures = _figures(step.name, duration_s, outcome)
        self._count(step.name, figures)
        self._emit(
            "pipeline.step",
            trace,
            run_id=self._run_id,
            step=step.name,
            status=_SUCCEEDED,
            duration_s=duration_s,
            outputs=plain_values(outputs),
            usage=usage_data(outcome.usage) if outcome.usage.lm_calls else _NONE,
            cached=outcome.cached,
            retries=outcome.retries,
        )
        return figures

    def figures_of(self, step: PlanStep, started: float, decision: Decision, run_s: float) -> PlainFigures:
        """What a step, a plain function that ended well now, took."""
        return (step.name, self._now() - started, decision.route._value_, decision.target, run_s)

    def walked(self, figures: PlainFigures, outputs: Mapping[str, Any], trace: TraceContext | None = None) -> None:
        """The step of ``figures`` ended well on a walk."""
        name = figures[0]
        self.outputs[name] = outputs
        if self.figures.setdefault(name, figures) is not figures:
            self._count(name, figures)
        self._emit(
            "pipeline.step",
            trace,
            run_id=self._run_id,
            step=name,
            status=_SUCCEEDED,
            duration_s=figures[1],
            outputs=plain_values(outputs),
            usage=_NONE,
            cached=False,
            retries=0,
        )

    def cancelled(self, step: PlanStep, started: float, trace: TraceContext | None = None) -> None:
        """The step was stopped."""
        duration_s = self._now() - started
        self._count(step.name, StepMetrics(step.name, StepStatus.CANCELLED, duration_s))
        self._tell(step, StepStatus.CANCELLED.value, trace, duration_s=duration_s)

    def failed(
        self, step: PlanStep, started: float, error: Exception, trace: TraceContext | None = None, *, where: str
    ) -> LabError:
        """The step failed; its error for people. One that a step inside it told already is not told again."""
        duration_s = self._now() - started
        told = as_lab_error(error, step.name, where)
        if not any(told is known for known in self.errors.values()):
            self.errors[step.name] = told
            self._emit("error.pipeline", None, run_id=self._run_id, step=step.name, error=told.to_dict())
        self._count(step.name, StepMetrics(step.name, StepStatus.FAILED, duration_s))
        self._tell(step, StepStatus.FAILED.value, trace, duration_s=duration_s, error=told.to_dict())
        return told

    def skipped(self, step: PlanStep, reason: str) -> None:
        """The step and those inside it do not run, and why."""
        inside = (inner for block in step.blocks for inner in block)
        for one in (step, *inside):
            with self._lock:
                self.figures.setdefault(one.name, StepMetrics(one.name, StepStatus.SKIPPED, reason=reason))
            self._tell(one, StepStatus.SKIPPED.value, None, reason=reason)

    def resumed(self, step: PlanStep, known: Remembered) -> None:
        """The step ended well in an earlier life of the run."""
        self._count(step.name, known.metrics)
        self.outputs[step.name] = known.outputs
        duration_s = known.metrics.duration_s
        self._tell(step, _SUCCEEDED, None, resumed=True, duration_s=duration_s, outputs=plain_values(known.outputs))
        for block in step.blocks:
            for inner in block:
                self._tell(inner, _SUCCEEDED, None, resumed=True)

    def _count(self, name: str, figures: StepMetrics | PlainFigures) -> None:
        with self._lock:
            known = self.figures.get(name)
            if known is not None:
                before = step_metrics(known)
                if before.status != StepStatus.SKIPPED:
                    figures = summed(before, step_metrics(figures))
            self.figures[name] = figures

    def _tell(self, step: PlanStep, status: str, trace: TraceContext | None, **attributes: Any) -> None:
        self._emit("pipeline.step", trace, run_id=self._run_id, step=step.name, status=status, **attributes)


def _figures(name: str, duration_s: float, outcome: Outcome) -> StepMetrics:
    return StepMetrics(
        name,
        _SUCCEEDED,
        duration_s,
        outcome.usage,
        outcome.route,
        outcome.target,
        outcome.worker,
        outcome.queue_s,
        outcome.run_s,
        outcome.retries,
        outcome.cached,
        outcome.first_token_s,
    )
