"""How events change what is seen of a run: ``view.apply(event)`` is a pure function to the next view.

Knows the events of ``telemetry.events`` and nothing of who emits or shows them. Events of other runs, events that are
late and attributes that are not known leave the view as it is: what people look at never breaks a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from dspex_lab.calls import Usage
from dspex_lab.errors import LabError
from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.run_view.steps import StepStatus, StepView

__all__ = ["RunView"]

_MAX_WARNINGS = 20
_USAGE_FIELDS = tuple(one.name for one in fields(Usage))


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as it stands. Times in seconds; ``started`` since the epoch; ``total`` is set when the run has ended."""

    run_id: str = ""
    pipeline: str = ""
    status: StepStatus = StepStatus.PENDING
    started: float | None = None
    duration_s: float | None = None
    steps: tuple[StepView, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    total: Usage | None = None
    #: What people are asked now, as ``run.question`` tells it.
    questions: tuple[Mapping[str, Any], ...] = ()
    #: What is to be known of the run and stops it not.
    warnings: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        return self.status.is_over

    @property
    def untold_error(self) -> Mapping[str, Any] | None:
        """The run's error, unless a step shows it already or "cancelled" says it all."""
        is_told = self.status is StepStatus.CANCELLED or any(step.error for step in self.steps)
        return None if is_told else self.error

    @property
    def usage(self) -> Usage:
        """What the run used: as it said itself at its end, until then the sum over the innermost steps."""
        if self.total is not None:
            return self.total
        around = {step.parent for step in self.steps}
        return sum((step.usage for step in self.steps if step.name not in around), Usage())

    @property
    def output_tokens(self) -> int:
        """Tokens written so far; those still streaming are counted by the piece."""
        return self.usage.output_tokens if self.total else sum(step.output_tokens for step in self.steps)

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens written in each second in which at least one step was writing, or None when none did."""
        windows = sorted(window for step in self.steps if (window := step.generating))
        busy_s, until = 0.0, float("-inf")
        for start, end, _ in windows:
            busy_s += max(0.0, end - max(start, until))
            until = max(until, end)
        return sum(count for _, _, count in windows) / busy_s if busy_s > 0 else None

    def step(self, name: str) -> StepView:
        """The step called ``name``; a KeyError when there is none."""
        for one in self.steps:
            if one.name == name:
                return one
        raise KeyError(name)

    def elapsed_s(self, now: float) -> float:
        """Seconds since the start, or what the run took when it is over; ``now`` in seconds since the epoch."""
        if self.duration_s is not None:
            return self.duration_s
        return max(0.0, now - self.started) if self.started is not None else 0.0

    def rows(self) -> list[tuple[int, StepView]]:
        """Every step once with its depth, each below the step around it, whose values are shown by those inside."""
        names = {step.name for step in self.steps}
        below: dict[str | None, list[StepView]] = {}
        for step in self.steps:
            below.setdefault(step.parent if step.parent in names else None, []).append(step)
        rows: list[tuple[int, StepView]] = []
        waiting = [(0, step) for step in reversed(below.get(None, []))]
        while waiting:
            depth, step = waiting.pop()
            inside = below.get(step.name, [])
            rows.append((depth, replace(step, outputs={}) if inside else step))
            waiting += [(depth + 1, child) for child in reversed(inside)]
        shown = {step.name for _, step in rows}
        return rows + [(0, step) for step in self.steps if step.name not in shown]

    def apply(self, event: Event) -> RunView:
        """The view after ``event``; the same view when the event is another run's, late, or of no interest."""
        change = _CHANGES.get(event.name)
        run_id = event.attributes.get("run_id")
        if change is None or run_id is None or (self.run_id and run_id != self.run_id):
            return self
        if self.is_over and event.name != "run.start":
            return self
        return change(self if self.run_id else replace(self, run_id=str(run_id)), event)

    def with_step(self, event: Event, change: Callable[[StepView], StepView]) -> RunView:
        """The view with the event's step changed; a step that was not announced gets a row at the end."""
        name = event.attributes.get("step")
        if not name:
            return self
        for index, step in enumerate(self.steps):
            if step.name == name:
                return replace(self, steps=(*self.steps[:index], change(step), *self.steps[index + 1 :]))
        return replace(self, steps=(*self.steps, change(_announced({**event.attributes, "name": name}))))


def _run_start(view: RunView, event: Event) -> RunView:
    told = event.attributes
    return RunView(
        run_id=view.run_id,
        pipeline=str(told.get("pipeline") or ""),
        status=StepStatus.RUNNING,
        started=event.time,
        steps=tuple(_announced(step) for step in told.get("steps") or ()),
        inputs=dict(told.get("inputs") or {}),
    )


def _announced(told: Mapping[str, Any]) -> StepView:
    parent = told.get("parent")
    return StepView(str(told["name"]), str(told.get("kind") or ""), str(parent) if parent else None)


def _step(view: RunView, event: Event) -> RunView:
    try:
        status = StepStatus(event.attributes.get("status", ""))
    except ValueError:
        return view
    if status is StepStatus.RUNNING:
        return view.with_step(event, lambda step: _begun(step, event))
    return view.with_step(event, lambda step: _ended(step, event, status))


def _begun(step: StepView, event: Event) -> StepView:
    """Running. A step that had ended begins a new turn (inside ``each``): what it wrote and used stays."""
    if step.status.is_over:
        return StepView(
            step.name,
            step.kind,
            step.parent,
            StepStatus.RUNNING,
            route=step.route,
            reason=step.reason,
            target=step.target,
            started=event.time,
            streams=tuple(stream.append("\n") for stream in step.streams),
            usage=step.usage,
            settled=step.usage,
        )
    retries = int(event.attributes.get("retries") or step.retries)
    started = event.time if step.started is None else step.started
    return replace(step, status=StepStatus.RUNNING, started=started, retries=retries)


def _ended(step: StepView, event: Event, status: StepStatus) -> StepView:
    told = event.attributes
    duration_s = told.get("duration_s")
    if duration_s is None and step.started is not None:
        duration_s = max(0.0, event.time - step.started)
    usage = _usage(told.get("usage"))
    # What was kept took its time in another life: it has no place in this one.
    is_told_late = step.started is None and not told.get("resumed")
    return replace(
        step,
        status=status,
        started=event.time - duration_s if is_told_late and duration_s else step.started,
        duration_s=duration_s,
        outputs=dict(told.get("outputs") or step.outputs),
        error=_error(told.get("error")) or step.error,
        usage=step.settled + usage if usage else step.usage,
        cached=bool(told.get("cached", step.cached)),
        kept=bool(told.get("resumed")),
        retries=int(told.get("retries") or step.retries),
        worker=str(told.get("worker") or step.worker),
    )


def _token(view: RunView, event: Event) -> RunView:
    told = event.attributes
    text = str(told.get("text") or "")
    if not text:
        return view

    def grow(step: StepView) -> StepView:
        if step.status.is_over:
            return step
        return step.with_text(str(told.get("field") or ""), text, at=event.time)

    return view.with_step(event, grow)


def _route(view: RunView, event: Event) -> RunView:
    told = event.attributes
    route, reason, target = (str(told.get(name) or "") for name in ("route", "reason", "target"))
    return view.with_step(event, lambda step: replace(step, route=route, reason=reason, target=target))


def _retry(view: RunView, event: Event) -> RunView:
    """A step's own end tells how often it was tried; until then each retry counts as it comes. What the next try writes
    stands on a line of its own."""

    def again(step: StepView) -> StepView:
        streams = tuple(stream.append("\n") for stream in step.streams)
        return replace(step, retries=step.retries + 1, streams=streams)

    return view.with_step(event, lambda step: step if step.status.is_over else again(step))


def _circuit(view: RunView, event: Event) -> RunView:
    """A circuit that opened or closed under a step stands where the reason for its route does."""
    target, state, reason = (str(event.attributes.get(name) or "") for name in ("target", "state", "reason"))
    return view.with_step(event, lambda step: replace(step, reason=f"circuit of {target} is {state}: {reason}"))


def _execute(view: RunView, event: Event) -> RunView:
    told = event.attributes
    used = _usage(told.get("usage")) or Usage()
    return view.with_step(
        event,
        lambda step: replace(
            step,
            worker=str(told.get("worker") or step.worker),
            queue_s=told.get("queue_s", step.queue_s),
            # A step's own end tells what it used in all: a call's figures count only until then.
            usage=step.usage if step.status.is_over else step.usage + used,
        ),
    )


def _run_end(view: RunView, event: Event) -> RunView:
    told = event.attributes
    try:
        status = StepStatus(told.get("status", ""))
    except ValueError:
        status = StepStatus.FAILED
    duration_s = told.get("duration_s")
    if duration_s is None and view.started is not None:
        duration_s = max(0.0, event.time - view.started)
    return replace(
        view,
        status=status,
        duration_s=duration_s,
        steps=tuple(_left_over(step, event) for step in view.steps),
        outputs=dict(told.get("outputs") or {}),
        error=_error(told.get("error")),
        total=_usage(told.get("usage")) or view.usage,
        questions=(),
    )


def _left_over(step: StepView, event: Event) -> StepView:
    """A step that the run's end found unfinished: one that ran was cancelled, one that waited was skipped."""
    if step.status in (StepStatus.RUNNING, StepStatus.WAITING):
        took_s = event.time - step.started if step.started is not None else None
        return replace(step, status=StepStatus.CANCELLED, duration_s=took_s)
    return replace(step, status=StepStatus.SKIPPED) if step.status is StepStatus.PENDING else step


def _question(view: RunView, event: Event) -> RunView:
    view = view.with_step(event, lambda step: replace(step, status=StepStatus.WAITING))
    return replace(view, status=StepStatus.WAITING, questions=(*view.questions, event.attributes))


def _answer(view: RunView, event: Event) -> RunView:
    told = event.attributes
    left = tuple(one for one in view.questions if one.get("id") != told.get("question"))
    if all(one.get("step") != told.get("step") for one in left):
        view = view.with_step(event, _no_more_waiting)
    return replace(view, status=view.status if left else StepStatus.RUNNING, questions=left)


def _no_more_waiting(step: StepView) -> StepView:
    return replace(step, status=StepStatus.RUNNING) if step.status is StepStatus.WAITING else step


def _warning(view: RunView, event: Event) -> RunView:
    message = str(event.attributes.get("message") or "")
    return replace(view, warnings=(*view.warnings, message)[-_MAX_WARNINGS:]) if message else view


def _usage(told: Any) -> Usage | None:
    if isinstance(told, Usage):
        return told
    if isinstance(told, Mapping):
        return Usage(**{name: told[name] for name in _USAGE_FIELDS if told.get(name) is not None})
    return None


def _error(told: Any) -> Mapping[str, Any] | None:
    """The error as ``LabError.to_dict()`` writes it, whatever form it came in."""
    if told is None or isinstance(told, Mapping):
        return told
    if isinstance(told, LabError):
        return told.to_dict()
    if isinstance(told, BaseException):
        return {"type": type(told).__name__, "message": str(told)}
    return {"type": "", "message": str(told)}


_CHANGES: Mapping[str, Callable[[RunView, Event], RunView]] = {
    "run.start": _run_start,
    "run.end": _run_end,
    "run.question": _question,
    "run.answer": _answer,
    "pipeline.warning": _warning,
    "pipeline.step": _step,
    "token": _token,
    "router.route": _route,
    "router.retry": _retry,
    "router.circuit": _circuit,
    "python.execute": _execute,
}
