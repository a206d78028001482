"""Spans of what a run tells: parents, times, statuses, further tries; whatever is missing or odd breaks nothing."""

from __future__ import annotations

from typing import Any

import pytest

from dspex_lab.calls import TraceContext
from dspex_lab.telemetry import Event, RunTraces, Span, spans_of

RUN = "a" * 32
ROOT = TraceContext(RUN, "b" * 16)
CELL = "c" * 16


def at(span_id: str) -> TraceContext:
    return TraceContext(RUN, span_id * 16)


def told(name: str, time: float, trace: TraceContext | None = None, **attributes: Any) -> Event:
    return Event(name, time, {"run_id": RUN, **attributes}, trace)


def start(**attributes: Any) -> Event:
    steps = [{"name": "a", "kind": "predict"}]
    return told("run.start", 10.0, ROOT, pipeline="support", steps=steps, inputs={"q": 1}, **attributes)


def step(time: float, status: str, trace: TraceContext, name: str = "a", **attributes: Any) -> Event:
    return told("pipeline.step", time, trace, step=name, status=status, **attributes)


def route(time: float, trace: TraceContext, way: str = "python", **attributes: Any) -> Event:
    known = {"operation": "predict", "route": way, "reason": "why", "target": "general"}
    return told("router.route", time, trace, step="a", **known, **attributes)


def end(time: float, status: str = "succeeded", **attributes: Any) -> Event:
    return told("run.end", time, ROOT, status=status, duration_s=time - 10.0, outputs={"x": 2}, **attributes)


def by_name(*events: Event) -> dict[str, Span]:
    return {span.name: span for span in spans_of(events)}


def test_a_run_hangs_under_its_cell_and_its_steps_under_it() -> None:
    """Names, parents, times and kinds are as they were told; the route is said with the step."""
    usage = {"input_tokens": 3, "output_tokens": 4, "cost": 0.5, "lm_calls": 1}
    spans = by_name(
        start(parent=CELL),
        step(11.0, "running", at("1")),
        route(11.0, at("1")),
        told("python.execute", 12.9, at("1"), step="a", worker="general-1", queue_s=0.1, run_s=1.5),
        step(13.0, "succeeded", at("1"), duration_s=2.0, outputs={"x": 2}, usage=usage, retries=0, cached=False),
        end(14.0, usage=usage),
    )
    run, inner = spans["run support"], spans["step a"]
    assert (run.parent_id, run.span_id, run.start, run.end, run.status) == (CELL, ROOT.span_id, 10.0, 14.0, "ok")
    assert (inner.parent_id, inner.start, inner.end, inner.status) == (ROOT.span_id, 11.0, 13.0, "ok")
    assert {span.attributes["dspex.kind"] for span in (run, inner)} == {"run", "step"}
    assert run.attributes["gen_ai.operation.name"] == "invoke_workflow"
    found = inner.attributes
    assert (found["dspex.route"], found["dspex.pool"], found["dspex.worker"]) == ("python", "general", "general-1")
    assert (found["gen_ai.usage.input_tokens"], found["dspex.cost_usd"]) == (3, 0.5)


def test_a_native_step_is_one_span() -> None:
    """A plain function is its step, and nothing more is made of it."""
    spans = by_name(
        start(),
        step(11.0, "running", at("1")),
        route(11.0, at("1"), "native"),
        told("native.execute", 12.0, at("1"), step="a", duration_s=1.0),
        step(12.0, "succeeded", at("1"), duration_s=1.0),
        end(12.0),
    )
    assert sorted(spans) == ["native a", "run support"]
    assert spans["native a"].attributes["dspex.kind"] == "native"


def test_a_step_in_a_step_hangs_under_it() -> None:
    """Two items of one step, at the same time, hang under the one that holds them, each with its own time."""
    spans = spans_of(
        [
            start(),
            step(11.0, "running", at("1"), "rows"),
            step(11.0, "running", at("2"), parent=at("1").span_id),
            step(11.5, "running", at("3"), parent=at("1").span_id),
            step(12.0, "succeeded", at("2"), duration_s=1.0),
            step(13.0, "succeeded", at("3"), duration_s=1.5),
            step(13.0, "succeeded", at("1"), "rows", duration_s=2.0),
            end(13.0),
        ]
    )
    items = [(span.start, span.end, span.parent_id) for span in spans if span.name == "step a"]
    assert items == [(11.0, 12.0, at("1").span_id), (11.5, 13.0, at("1").span_id)]


def test_retries_are_spans_of_their_own() -> None:
    """Each begins after its wait and ends where the next is decided; the reason and the failure are told."""
    spans = by_name(
        start(),
        step(11.0, "running", at("1")),
        route(11.0, at("1")),
        told("router.retry", 12.0, at("1"), span="2" * 16, retry=1, error_type="ModelError", reason="503", wait_s=1.0),
        told("router.retry", 14.0, at("1"), span="3" * 16, retry=2, error_type="WorkerLost", reason="gone", wait_s=0.5),
        step(16.0, "succeeded", at("1"), duration_s=5.0, retries=2),
        end(16.0),
    )
    first, second = spans["retry 1"], spans["retry 2"]
    assert (first.start, first.end, first.status, first.message) == (13.0, 14.0, "error", "gone")
    assert (second.start, second.end, second.status) == (14.5, 16.0, "ok")
    assert {first.parent_id, second.parent_id} == {at("1").span_id}
    assert (first.attributes["dspex.retry.reason"], first.attributes["error.type"]) == ("ModelError", "WorkerLost")


def test_a_retry_that_was_only_waited_for_is_none() -> None:
    """A run that is cancelled while it waits has done no second try."""
    spans = by_name(
        start(),
        step(11.0, "running", at("1")),
        route(11.0, at("1")),
        told("router.retry", 12.0, at("1"), span="2" * 16, retry=1, error_type="ModelError", reason="503", wait_s=9.0),
        step(12.5, "cancelled", at("1"), duration_s=1.5),
        end(12.5, "cancelled"),
    )
    assert sorted(spans) == ["run support", "step a"]
    assert spans["step a"].status == spans["run support"].status == "cancelled"


def test_what_stands_in_is_a_span_below_its_step() -> None:
    """The fallback has its own route and its own retries; the way that failed is said to have."""
    error = {"type": "ModelError", "message": "no such model"}
    spans = by_name(
        start(),
        step(11.0, "running", at("1")),
        route(11.0, at("1"), "hybrid"),
        told("error.python", 12.0, at("1"), step="a", error=error),
        route(12.0, at("2"), "native", parent=at("1").span_id),
        told("router.retry", 13.0, at("2"), span="3" * 16, retry=1, error_type="ModelError", reason="503", wait_s=0.0),
        step(14.0, "succeeded", at("1"), duration_s=3.0),
        end(14.0),
    )
    fallback, retry = spans["fallback 1"], spans["retry 1"]
    assert (fallback.parent_id, fallback.start, fallback.end) == (at("1").span_id, 12.0, 14.0)
    assert (fallback.attributes["dspex.route"], spans["step a"].attributes["dspex.route"]) == ("native", "hybrid")
    assert (retry.parent_id, retry.start, retry.end) == (at("2").span_id, 13.0, 14.0)


def test_a_failure_is_told_by_its_own_type() -> None:
    """A step that failed, its last try and its run say how, by the type that the user knows."""
    error = {"type": "PythonError", "error_type": "ValueError", "message": "no"}
    spans = by_name(
        start(),
        step(11.0, "running", at("1")),
        route(11.0, at("1")),
        told("router.retry", 12.0, at("1"), span="2" * 16, retry=1, error_type="X", reason="x", wait_s=0.0),
        told("error.python", 13.0, at("1"), step="a", error=error),
        step(13.0, "failed", at("1"), duration_s=2.0, error=error),
        end(13.0, "failed", error=error),
    )
    for name in ("retry 1", "step a", "run support"):
        span = spans[name]
        assert (span.status, span.message, span.attributes["error.type"]) == ("error", "no", "ValueError")


def test_a_host_that_missed_the_beginning_knows_the_end() -> None:
    """Without the first events of a run its spans have their times and places all the same."""
    spans = by_name(step(13.0, "succeeded", at("1"), duration_s=2.0), end(14.0, pipeline="support", parent=CELL))
    assert (spans["step a"].start, spans["run support"].start) == (11.0, 10.0)
    assert spans["run support"].parent_id == CELL


def test_a_run_whose_notebook_died_ends_where_the_host_says_so() -> None:
    """Which tells it without a place of its own."""
    error = {"type": "Cancelled", "message": "The notebook ended."}
    spans = by_name(start(parent=CELL), told("run.end", 12.0, None, status="cancelled", error=error))
    assert (spans["run support"].status, spans["run support"].span_id) == ("cancelled", ROOT.span_id)
    assert (spans["run support"].start, spans["run support"].end) == (10.0, 12.0)


@pytest.mark.parametrize(
    "event",
    [
        Event("run.start", 1.0),
        Event("token", 1.0, {"run_id": RUN}),
        told("pipeline.step", 1.0, None, status="succeeded"),
        told("router.route", 1.0),
        told("router.retry", 1.0),
        told("router.retry", 1.0, at("1")),
        told("python.execute", 1.0),
        told("error.python", 1.0, at("1")),
        told("run.end", 1.0),
    ],
)
def test_what_hangs_in_no_trace_makes_no_span(event: Event) -> None:
    """Runs that are not traced, and events that say too little."""
    assert RunTraces().apply(event) == []


def test_runs_do_not_mix_and_leave_nothing_behind() -> None:
    """Many at a time, each with its own name; those that ended are forgotten."""
    traces = RunTraces()
    for number in range(50):
        run_id = f"{number:032x}"
        traces.apply(Event("run.start", 1.0, {"run_id": run_id, "pipeline": f"p{number}"}, TraceContext(run_id, "1")))
    for number in range(50):
        run_id = f"{number:032x}"
        attributes = {"run_id": run_id, "status": "succeeded", "duration_s": 1.0}
        (span,) = traces.apply(Event("run.end", 2.0, attributes, TraceContext(run_id, "1")))
        assert span.name == f"run p{number}"
    assert repr(traces) == "<RunTraces [runs under way: 0]>"
