"""The host's ledger: every call's end is counted, and what hangs in a trace becomes a span in the store."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from dspex_lab.pool.ledger import Ledger, open_ledger
from dspex_lab.pool.records import CallRecord
from dspex_lab.settings import Settings
from dspex_lab.telemetry import TraceReader, TraceStore
from dspex_lab.testing.clock import FakeClock
from dspex_lab.wire.messages import Done, Submit

TRACE, STEP = "a" * 32, "b" * 16


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[TraceStore]:
    with TraceStore(tmp_path / "traces.sqlite", clock=clock) as store:
        yield store


def record(clock: FakeClock, *, queue_s: float, run_s: float, is_traced: bool = True) -> CallRecord:
    now = clock.monotonic()
    submit = Submit("c1", "dspy.run", "general", trace_id=TRACE if is_traced else None, span_id=STEP)
    call = CallRecord(submit, (), b"peer", now - queue_s - run_s, None, worker_id="general-1", span_id="c" * 16)
    call.started_at = now - run_s
    return call


async def test_a_call_is_counted_by_operation_and_pool(clock: FakeClock) -> None:
    """Calls, errors, tokens and latency (the queue included) add up."""
    ledger = Ledger(None, clock)
    ledger.ended(record(clock, queue_s=1.0, run_s=2.0), Done("c1", input_tokens=3, output_tokens=4, lm_calls=1), {})
    ledger.ended(record(clock, queue_s=0.0, run_s=3.0), None, {"type": "WorkerLost", "message": "gone"})
    await ledger.flush()
    (row,) = ledger.statistics()
    assert (row["op"], row["pool"], row["calls"], row["errors"]) == ("dspy.run", "general", 2, 1)
    assert (row["input_tokens"], row["output_tokens"]) == (3, 4)
    assert row["p50_s"] == pytest.approx(3.0, rel=0.05)


async def test_the_last_hour_is_told_by_pool_and_in_all(clock: FakeClock) -> None:
    """A call that another one made counts in its own pool, and not once more in all: its tokens are in the other's."""
    ledger = Ledger(None, clock)
    outer, inner = record(clock, queue_s=0.0, run_s=2.0), record(clock, queue_s=0.0, run_s=1.0)
    inner.submit = Submit("c2", "lm.complete", "neural", parent="c1")
    for call in (inner, outer):
        ledger.ended(call, Done("x", input_tokens=3, output_tokens=4, lm_calls=1), {})
    await ledger.flush()
    rows = {name: rows[0] for name, rows in ledger.history.snapshot(clock.now()).items()}
    assert {name: row[1:5] for name, row in rows.items()} == dict.fromkeys(("", "general", "neural"), (1, 0, 3, 4))
    assert rows[""][5] == pytest.approx(2.0, rel=0.05)


async def test_a_call_that_no_worker_had_waited_all_the_time(store: TraceStore, clock: FakeClock) -> None:
    """Its wait ended as the call did."""
    ledger = Ledger(store, clock)
    call = record(clock, queue_s=0.0, run_s=0.0)
    call.worker_id, call.started_at, call.submitted_at = None, 0.0, clock.monotonic()
    clock.advance(3.0)
    ledger.ended(call, None, {"type": "DeadlineExceeded", "message": "late"})
    await ledger.flush()
    assert {(span.name, span.status, span.duration_s) for span in store.spans(TRACE)} == {
        ("pool dspy.run", "error", 3.0),
        ("queue general", "error", 3.0),
    }


async def test_what_runs_tell_becomes_spans(store: TraceStore, clock: FakeClock) -> None:
    """The host makes them, of events as they come off the wire."""
    ledger = Ledger(store, clock)
    place = {"trace_id": TRACE, "span_id": STEP}
    told = {"run_id": TRACE, "pipeline": "p", "status": "succeeded", "duration_s": 1.0}
    ledger.told([], [{"name": "run.start", "time": 1.0, "attributes": told, "trace": place}])
    await ledger.flush()
    ledger.told([], [{"name": "run.end", "time": 2.0, "attributes": told, "trace": place}])
    await ledger.flush()
    (span,) = store.spans(TRACE)
    assert (span.name, span.start, span.end) == ("run p", 1.0, 2.0)


async def test_steps_are_counted_by_what_they_do(store: TraceStore, clock: FakeClock) -> None:
    """Those of runs that were told, by operation and way."""
    ledger = Ledger(store, clock)
    attributes = {"dspex.kind": "native", "dspex.step": "clean", "dspex.operation": "strip", "dspex.route": "native"}
    span = {"trace_id": TRACE, "span_id": STEP, "parent_id": None, "name": "native clean", "start": 1.0, "end": 3.0}
    ledger.told([{**span, "attributes": attributes}, span], [])
    await ledger.flush()
    (row,) = ledger.step_statistics()
    assert (row["op"], row["route"], row["calls"], row["p50_s"]) == ("strip", "native", 1, 2.0)


async def test_a_private_call_leaves_no_words(store: TraceStore, clock: FakeClock) -> None:
    """Neither its own nor its workers'; what it used and how it ended stays."""
    ledger = Ledger(store, clock)
    ledger.hide(b"peer")
    call = record(clock, queue_s=0.0, run_s=1.0)
    call.owner = b"peer"
    ledger.begun(call)
    attributes = {"gen_ai.input.messages": "words", "gen_ai.usage.input_tokens": 3}
    span = {"trace_id": TRACE, "span_id": STEP, "parent_id": None, "name": "chat", "start": 1.0, "end": 2.0}
    ledger.told([{**span, "attributes": attributes}], [])
    ledger.ended(call, None, {"type": "PythonError", "message": "words"})
    await ledger.flush()
    spans = {one.name: one for one in store.spans(TRACE)}
    assert "words" not in str(spans)
    assert spans["chat"].attributes == {"gen_ai.usage.input_tokens": 3}
    assert spans["pool dspy.run"].attributes["error.type"] == "PythonError"


async def test_settling_waits_for_what_workers_still_tell(store: TraceStore, clock: FakeClock) -> None:
    """Right after a call, for a moment; else not at all."""
    ledger = Ledger(store, clock)
    await ledger.settle()
    ledger.ended(record(clock, queue_s=0.0, run_s=0.0), Done("c1"), {})
    settling = asyncio.create_task(ledger.settle())
    await clock.run_for(0.09)
    assert not settling.done()
    await clock.run_for(0.02)
    await settling
    assert store.statistics().spans == 2


async def test_a_traced_call_becomes_a_span_under_its_caller(store: TraceStore, clock: FakeClock) -> None:
    """The span hangs under the caller's and has the id that the worker was told; its wait is a span of its own."""
    ledger = Ledger(store, clock)
    ledger.ended(record(clock, queue_s=1.0, run_s=2.0), Done("c1"), {})
    await ledger.flush()
    span, queue = store.spans(TRACE)
    assert (queue.parent_id, queue.start, queue.attributes["dspex.kind"]) == (span.span_id, span.start, "queue")
    assert queue.duration_s == pytest.approx(1.0)
    assert (span.parent_id, span.span_id, span.status) == (STEP, "c" * 16, "ok")
    assert span.duration_s == pytest.approx(3.0)
    assert span.attributes["dspex.queue_s"] == pytest.approx(1.0)


@pytest.mark.parametrize(("kind", "status"), [("Cancelled", "cancelled"), ("WorkerLost", "error")])
async def test_how_a_call_ended_is_its_spans_status(
    store: TraceStore, clock: FakeClock, kind: str, status: str
) -> None:
    """A cancelled call is no failure."""
    ledger = Ledger(store, clock)
    ledger.ended(record(clock, queue_s=0.0, run_s=1.0), None, {"type": kind, "message": "words"})
    await ledger.flush()
    assert store.spans(TRACE)[0].status == status


async def test_a_call_in_no_trace_makes_no_span(store: TraceStore, clock: FakeClock) -> None:
    """It is counted, and nothing is written."""
    ledger = Ledger(store, clock)
    ledger.ended(record(clock, queue_s=0.0, run_s=1.0, is_traced=False), Done("c1"), {})
    await ledger.flush()
    assert store.statistics().spans == 0
    assert ledger.statistics()[0]["calls"] == 1


async def test_what_peers_tell_is_kept_and_nonsense_is_left_out(store: TraceStore, clock: FakeClock) -> None:
    """A span or an event that is none never reaches the store, and never raises."""
    ledger = Ledger(store, clock)
    good = {"trace_id": TRACE, "span_id": STEP, "parent_id": None, "name": "step", "start": 1.0, "end": 2.0}
    event = {"name": "run.start", "time": 1.0, "attributes": {"run_id": "r", "pipeline": "p"}}
    event["trace"] = {"trace_id": TRACE, "span_id": STEP}
    ledger.told([good, {"name": "no ids"}, {**good, "end": "x"}, {**good, "status": "fine"}], [event, {"time": 0}])
    await ledger.flush()
    assert [span.name for span in store.spans(TRACE)] == ["step"]
    assert store.run("r") is not None


async def test_a_disk_that_fails_is_said_once_and_holds_nothing_up(
    store: TraceStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls go on being counted, and the log has one line for a disk that stays full."""

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store, "append", full)
    ledger = Ledger(store, clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            ledger.ended(record(clock, queue_s=0.0, run_s=1.0), Done("c1"), {})
            await ledger.flush()
    assert ledger.statistics()[0]["calls"] == 3
    assert caplog.text.count("disk is full") == 1


async def test_a_file_that_cannot_be_had_leaves_a_ledger_that_counts(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Telemetry never keeps a host from starting."""
    (tmp_path / "traces.sqlite").mkdir()
    ledger = open_ledger(Settings.create(runtime_dir=tmp_path), clock)
    ledger.ended(record(clock, queue_s=0.0, run_s=1.0), Done("c1"), {})
    await ledger.aclose()
    assert ledger.statistics()[0]["calls"] == 1
    assert "Traces are not kept" in caplog.text


async def test_another_process_reads_what_was_written(store: TraceStore, clock: FakeClock) -> None:
    """A reader sees a batch as soon as it is written, while the writer has the file open."""
    ledger = Ledger(store, clock)
    with TraceReader(store.path) as reader:
        ledger.ended(record(clock, queue_s=0.0, run_s=1.0), Done("c1"), {})
        await ledger.flush()
        assert [trace.trace_id for trace in reader.traces()] == [TRACE]


def test_a_reader_of_nothing_says_so(tmp_path: Path) -> None:
    """Where no host has written a file there is nothing to read, and none is made."""
    with pytest.raises(FileNotFoundError):
        TraceReader(tmp_path / "none.sqlite")
    assert list(tmp_path.iterdir()) == []
