"""The trace of a batch: its rows beneath it, their steps beneath them, and never too much."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from dspex_lab.errors import ModelError
from dspex_lab.pipelines import Batch, BatchStarter, Pipeline, compile_plan, native, predict
from dspex_lab.pipelines.batch import trace as module
from dspex_lab.portal import Portal
from dspex_lab.router import RetryPolicy
from dspex_lab.telemetry import Collector, Recorder, Span, Trace
from dspex_lab.telemetry import attributes as names
from dspex_lab.testing import FakeClock
from dspex_lab.testing.stage import Stage


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def stage(recorder: Recorder) -> Iterator[Stage]:
    with Portal() as portal:
        stage = Stage(portal)
        stage.batches = BatchStarter(portal, stage.router, recorder=recorder)
        yield stage


def rows(count: int) -> list[dict[str, int]]:
    return [{"number": number} for number in range(count)]


def picky(number: int) -> int:
    if number % 3 == 2:
        raise ValueError(f"not {number}")
    return number


def batch_of(made: Pipeline, given: Any, **options: Any) -> Batch:
    batch: Batch = made.map(given, wait=False, progress=False, **options)
    batch.result(20)
    return batch


def shown(recorder: Recorder) -> list[tuple[int, str, str]]:
    return [(depth, span.name, span.status) for depth, span in Trace.of(recorder.spans()).rows]


def row_spans(recorder: Recorder) -> dict[int, Span]:
    return {span.attributes[names.ROW]: span for span in recorder.spans() if names.ROW in span.attributes}


def test_a_batch_is_a_trace_with_its_rows_and_their_steps(stage: Stage, recorder: Recorder) -> None:
    """Under the batch's id: a span for it, one for each row, and the row's steps beneath that."""
    made = stage.pipeline(reply=predict("number: int -> reply"), short=native(lambda reply: reply[:5]))
    batch = batch_of(made, rows(2), concurrency=1)
    assert shown(recorder) == [
        (0, "batch test", "ok"),
        (1, "row 0", "ok"),
        (2, "step reply", "ok"),
        (2, "native short", "ok"),
        (1, "row 1", "ok"),
        (2, "step reply", "ok"),
        (2, "native short", "ok"),
    ]
    assert {span.trace_id for span in recorder.spans()} == {batch.id}
    root = Trace.of(recorder.spans()).spans[0]
    assert root.attributes[names.ROWS] == 2
    assert names.ROWS_LEFT_OUT not in root.attributes
    assert root.attributes[names.INPUT_TOKENS] == 20
    assert row_spans(recorder)[1].attributes[names.INPUTS] == {"number": 1}


def test_calls_hang_under_the_steps_of_their_row(stage: Stage, recorder: Recorder) -> None:
    """What goes to a pool has the place of its step in the trace with it."""
    made = stage.pipeline(reply=predict("number: int -> reply"))
    batch = batch_of(made, rows(1))
    (call,) = stage.backend.calls
    (step,) = [span for span in recorder.spans() if span.attributes.get(names.STEP) == "reply"]
    assert call.trace is not None
    assert (call.trace.trace_id, call.trace.span_id) == (batch.id, step.span_id)


def test_a_row_that_fails_says_why(stage: Stage, recorder: Recorder) -> None:
    """Its span has the error, and so has the step's; the batch itself is fine, and counts it."""
    batch_of(stage.pipeline(same=native(picky)), rows(3))
    failed = row_spans(recorder)[2]
    assert (failed.status, failed.attributes[names.ERROR_TYPE]) == ("error", "PipelineError")
    assert "not 2" in failed.message
    (step,) = [span for span in recorder.spans() if span.parent_id == failed.span_id]
    assert (step.status, step.attributes[names.ERROR_TYPE]) == ("error", "PipelineError")
    root = Trace.of(recorder.spans()).spans[0]
    assert (root.status, root.attributes[names.ROWS_FAILED]) == ("ok", 1)


def test_a_row_that_does_not_fit_is_a_failed_row(stage: Stage, recorder: Recorder) -> None:
    """It never ran, and has a span without steps."""
    made = stage.pipeline(same=native(doubled))
    batch_of(made, [{"number": 1}, {"number": "many"}])
    failed = row_spans(recorder)[1]
    assert (failed.status, failed.attributes[names.ERROR_TYPE]) == ("error", "PipelineError")


def doubled(number: int) -> int:
    return 2 * number


def test_rows_that_are_given_up_are_cancelled(stage: Stage, recorder: Recorder) -> None:
    """And so are their steps, and the batch that was stopped."""
    made = stage.pipeline(reply=predict("number: int -> slow"))
    batch = made.map(rows(1), wait=False, progress=False)
    assert stage.is_slow.wait(10)
    batch.stop()
    batch.result(20)
    assert [status for _, _, status in shown(recorder)] == ["cancelled"] * 3


def test_of_very_many_rows_the_first_and_the_failed_are_kept(
    stage: Stage, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first with their steps, of the others those that fail, and not all of them; the batch says how many more
    there were."""
    monkeypatch.setattr(module, "_MAX_ROWS", 4)
    monkeypatch.setattr(module, "_MAX_FAILED", 2)
    batch_of(stage.pipeline(same=native(picky)), rows(20), concurrency=1)
    found = row_spans(recorder)
    assert sorted(found) == [0, 1, 2, 3, 5, 8]
    with_steps = {span.parent_id for span in recorder.spans() if span.attributes.get(names.STEP)}
    assert with_steps == {found[number].span_id for number in range(4)}
    root = Trace.of(recorder.spans()).spans[0]
    assert (root.attributes[names.ROWS], root.attributes[names.ROWS_LEFT_OUT]) == (20, 14)


def test_tracing_takes_a_small_part_of_the_time(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first rows always; later ones once the batch has gone on for long enough."""
    monkeypatch.setattr(module, "_FIRST_ROWS", 2)
    monkeypatch.setattr(module, "_SHARE", 0.01)
    clock = FakeClock()
    plan = compile_plan("test", {"same": native(picky)})

    def slowly(span: Span) -> None:
        recorder.add_span(span)
        clock.advance(0.01)

    trace = module.BatchTrace("b" * 32, plan, clock, slowly)

    def is_traced(position: int) -> bool:
        row = trace.begin(position, {"number": 1})
        trace.end(position, row)
        return row is not None

    assert [is_traced(number) for number in range(4)] == [True, True, False, False]
    clock.advance(1.98)  # 1 % of these two seconds were spent so far
    assert [is_traced(number) for number in range(4, 6)] == [True, False]


def test_large_plans_have_fewer_rows(stage: Stage, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is bounded by the spans, too."""
    monkeypatch.setattr(module, "_MAX_SPANS", 9)
    made = stage.pipeline(a=native(lambda number: 1), b=native(lambda a: 2), c=native(lambda b: 3))
    batch_of(made, rows(10), concurrency=1)
    assert sorted(row_spans(recorder)) == [0, 1, 2]


def test_the_steps_of_the_rows_are_counted_as_steps(stage: Stage, recorder: Recorder) -> None:
    """By whoever counts steps by their spans, as the host does for lab.statistics()."""
    batch_of(stage.pipeline(same=native(picky)), rows(3))
    collector = Collector()
    for span in recorder.spans():
        collector.record_span(span)
    (series,) = collector.statistics().series
    assert (series.operation, series.calls, series.errors) == ("picky", 3, 1)


def test_a_row_that_comes_again_is_one_row(stage: Stage, recorder: Recorder) -> None:
    """A retry is beneath its step, as in any run."""
    tries = iter([ModelError("gone", retryable=True), None])

    def shaky(number: int) -> int:
        if (error := next(tries)) is not None:
            raise error
        return number

    batch_of(stage.pipeline(same=native(shaky, retry=RetryPolicy(retries=1, base_s=0.001))), rows(1))
    assert [name for _, name, _ in shown(recorder)] == ["batch test", "row 0", "native same", "retry 1"]


def test_events_of_rows_are_told_as_before(stage: Stage) -> None:
    """To who observes: what the router does, and no step of every row."""
    batch_of(stage.pipeline(same=native(picky)), rows(2))
    assert len(stage.told("native.execute")) == 2
    assert stage.told("pipeline.step") == []


async def test_a_batch_without_a_recorder_has_no_trace(stage: Stage, recorder: Recorder) -> None:
    """Nobody would take it."""
    stage.batches = BatchStarter(stage.portal, stage.router)
    await asyncio.to_thread(batch_of, stage.pipeline(same=native(picky)), rows(2))
    assert recorder.spans() == []
