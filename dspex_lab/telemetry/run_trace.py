"""From what a run tells to its spans: the run, its steps, and every further try of a step.

A run on its way pays for events only; spans are made of them later, by who keeps or shows them. Pure: the same events
give the same spans, ids included, wherever that is done. Knows nothing of who runs steps or keeps spans.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dspex_lab.calls import TraceContext
from dspex_lab.telemetry import attributes as names
from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.spans import Span, SpanStatus

__all__ = ["RunTraces", "spans_of"]

_STATUSES: Mapping[str, SpanStatus] = {"succeeded": "ok", "failed": "error", "cancelled": "cancelled"}
_MAX_RUNS = 2_000
#: Steps under way and tries of them, for each run.
_MAX_OPEN = 20_000


@dataclass(slots=True)
class _Open:
    """A span that has not ended: a step, or a further try of one."""

    span_id: str
    parent_id: str | None
    name: str
    start: float
    attributes: dict[str, Any] = field(default_factory=dict)
    status: SpanStatus = "ok"
    message: str = ""
    end: float | None = None
    #: Retries of it, and what was tried in its place, in their order.
    tries: list[_Open] = field(default_factory=list)

    def fail(self, end: float, error_type: str, message: str) -> None:
        """It ended, and badly."""
        self.end, self.status, self.message = end, "error", message
        self.attributes[names.ERROR_TYPE] = error_type or "error"

    def spans(self, trace_id: str, end: float, status: SpanStatus) -> Iterable[Span]:
        """The span and those below it, which end with it at the latest; a try that was only waited for never was."""
        own = self.end if self.end is not None else end
        state = self.status if self.end is not None else status
        yield Span(
            trace_id, self.span_id, self.parent_id, self.name, self.start, max(self.start, own), state,
            self.attributes, self.message,
        )  # fmt: skip
        for one in self.tries:
            if one.start <= own or one.tries:
                yield from one.spans(trace_id, own, state)


class RunTraces:
    """Makes spans of the events of many runs, as they come; ``apply`` gives those that an event completes."""

    def __init__(self) -> None:
        self._runs: dict[str, _RunTrace] = {}

    def apply(self, event: Event) -> list[Span]:
        """The spans that ``event`` completes; none for one of no run, or of a run that is not traced."""
        run_id = event.attributes.get("run_id")
        change = _CHANGES.get(event.name)
        if not run_id or change is None:
            return []
        run = self._runs.get(run_id)
        if run is None or event.name == "run.start":
            if len(self._runs) >= _MAX_RUNS:
                del self._runs[next(iter(self._runs))]
            run = self._runs[run_id] = _RunTrace(str(run_id))
        spans: list[Span] | None = change(run, event, event.attributes)
        if event.name == "run.end":
            del self._runs[run_id]
        return spans or []

    def __repr__(self) -> str:
        return f"<RunTraces [runs under way: {len(self._runs)}]>"


def spans_of(events: Iterable[Event]) -> list[Span]:
    """The spans that ``events`` complete, by their start."""
    traces = RunTraces()
    found = [span for event in events for span in traces.apply(event)]
    return sorted(found, key=lambda span: span.start)


class _RunTrace:
    """One run under way."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.name = ""
        self.root: TraceContext | None = None
        self.parent: str | None = None
        self.start: float | None = None
        self.inputs: Any = None
        self.kinds: dict[str, str] = {}
        self.open: dict[str, _Open] = {}

    # --- the run --------------------------------------------------------------------------------------------------

    def begin(self, event: Event, told: Mapping[str, Any]) -> None:
        self.root, self.start, self.name = event.trace, event.time, str(told.get("pipeline") or "")
        self.parent = told.get("parent") or None
        self.inputs = told.get("inputs")
        self.kinds = {str(one.get("name")): str(one.get("kind")) for one in told.get("steps") or ()}

    def finish(self, event: Event, told: Mapping[str, Any]) -> list[Span]:
        # Of a run whose notebook died the host tells the end, which knows no place of its own.
        root = event.trace or self.root
        if root is None:
            return []
        error = told.get("error") or {}
        pipeline = self.name or str(told.get("pipeline") or "")
        attributes = {
            names.KIND: "run",
            names.OPERATION_NAME: "invoke_workflow",
            names.WORKFLOW_NAME: pipeline or None,
            names.RUN_ID: self.run_id,
            names.INPUTS: self.inputs,
            names.OUTPUTS: told.get("outputs"),
            names.ERROR_TYPE: _type_of(error) or None,
            **_used(told.get("usage")),
        }
        status = _STATUSES.get(str(told.get("status")), "error")
        start = event.time - (told.get("duration_s") or 0.0) if self.start is None else self.start
        name = f"run {pipeline}" if pipeline else "run"
        parent = self.parent or told.get("parent") or None
        return [
            Span(
                root.trace_id, root.span_id, parent, name, start, max(start, event.time), status,
                _given(attributes), str(error.get("message") or "") if status == "error" else "",
            )
        ]  # fmt: skip

    # --- its steps ------------------------------------------------------------------------------------------------

    def step(self, event: Event, told: Mapping[str, Any]) -> list[Span]:
        if event.trace is None:
            return []
        status = told.get("status")
        if status == "running":
            self._at(event, told)
            return []
        place = self._at(event, told)
        del self.open[place.span_id]
        for one in place.tries:
            self.open.pop(one.span_id, None)
        self._fill(place, told)
        ended = _STATUSES.get(str(status), "error")
        if ended == "error" and (error := told.get("error")):
            place.fail(event.time, _type_of(error), str(error.get("message") or ""))
        return list(place.spans(event.trace.trace_id, event.time, ended))

    def _fill(self, place: _Open, told: Mapping[str, Any]) -> None:
        step = str(told.get("step") or "")
        kind = "native" if place.attributes.get(names.ROUTE) == "native" else "step"
        place.name = f"{kind} {step}"
        more = {
            names.KIND: kind,
            names.RUN_ID: self.run_id,
            names.STEP: step,
            names.STEP_KIND: self.kinds.get(step),
            names.OUTPUTS: told.get("outputs"),
            names.CACHE_HIT: told.get("cached") or None,
            names.RETRIES: told.get("retries") or None,
            **_used(told.get("usage")),
        }
        place.attributes = {**_given(more), **place.attributes}

    def _at(self, event: Event, told: Mapping[str, Any]) -> _Open:
        """The open span that the event is told of; a step whose beginning nobody told of began with its duration."""
        span_id = event.trace.span_id if event.trace is not None else ""
        found = self.open.get(span_id)
        if found is None:
            root = None if self.root is None else self.root.span_id
            parent = told.get("parent") or root
            found = _Open(span_id, parent, "step", event.time - (told.get("duration_s") or 0.0))
            if len(self.open) < _MAX_OPEN or event.name == "pipeline.step":
                self.open[span_id] = found
        return found

    # --- what becomes of a step -----------------------------------------------------------------------------------

    def route(self, event: Event, told: Mapping[str, Any]) -> None:
        if event.trace is None:
            return
        route = str(told.get("route") or "")
        attributes = {
            names.OPERATION: told.get("operation"),
            names.ROUTE: route,
            names.ROUTE_REASON: told.get("reason"),
            names.POOL: told.get("target") if route != "native" else None,
        }
        owner = self.open.get(str(told.get("parent") or ""))
        if owner is None:
            self._at(event, {}).attributes.update(_given(attributes))
            return
        number = sum(one.name.startswith("fallback") for one in owner.tries) + 1
        self._try(owner, event.trace.span_id, f"fallback {number}", event.time, attributes)

    def retry(self, event: Event, told: Mapping[str, Any]) -> None:
        if event.trace is None or not told.get("span"):
            return
        owner = self._at(event, {})
        error_type, reason = str(told.get("error_type") or ""), str(told.get("reason") or "")
        if owner.tries and owner.tries[-1].end is None:
            owner.tries[-1].fail(event.time, error_type, reason)
        begins = event.time + float(told.get("wait_s") or 0.0)
        attributes = {names.RETRY_REASON: error_type, names.RETRY_WAIT_S: told.get("wait_s") or None}
        self._try(owner, str(told["span"]), f"retry {told.get('retry')}", begins, attributes)

    def _try(self, owner: _Open, span_id: str, name: str, start: float, attributes: Mapping[str, Any]) -> None:
        made = _Open(span_id, owner.span_id, name, start, _given({names.KIND: "step", **attributes}))
        owner.tries.append(made)
        self.open[span_id] = made

    def executed(self, event: Event, told: Mapping[str, Any]) -> None:
        if event.trace is None:
            return
        place = self._at(event, {})
        place.attributes.update(_given({names.WORKER: told.get("worker") or None}))

    def error(self, event: Event, told: Mapping[str, Any]) -> None:
        """A way failed: its last retry did, or a way that was tried in place of another."""
        if event.trace is None or (place := self.open.get(event.trace.span_id)) is None:
            return
        error = told.get("error") or {}
        failed = place.tries[-1] if place.tries and place.tries[-1].end is None else None
        for one in (failed, place if place.name.startswith("fallback") else None):
            if one is not None:
                one.fail(event.time, _type_of(error), str(error.get("message") or ""))


def _given(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _type_of(error: Mapping[str, Any]) -> str:
    """What failed: the user's own type where a worker told it, else the house's."""
    return str(error.get("error_type") or error.get("type") or "")


def _used(usage: Mapping[str, Any] | None) -> dict[str, Any]:
    if not usage or not usage.get("lm_calls"):
        return {}
    return {
        names.INPUT_TOKENS: usage.get("input_tokens"),
        names.OUTPUT_TOKENS: usage.get("output_tokens"),
        names.COST_USD: usage.get("cost"),
    }


_CHANGES: Mapping[str, Any] = {
    "run.start": _RunTrace.begin,
    "run.end": _RunTrace.finish,
    "pipeline.step": _RunTrace.step,
    "router.route": _RunTrace.route,
    "router.retry": _RunTrace.retry,
    "python.execute": _RunTrace.executed,
    "error.native": _RunTrace.error,
    "error.python": _RunTrace.error,
}
