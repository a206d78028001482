"""Runs and traces out of the store's file, as a page is told of them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dspex_lab.server.trace_file import TraceFile
from dspex_lab.telemetry import Event, Span, TraceStore
from dspex_lab.testing import FakeClock

ERROR = {"type": "ModelError", "message": "The model refuses.", "hint": "Ask another."}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "traces.sqlite"


@pytest.fixture
def store(path: Path, clock: FakeClock) -> Iterator[TraceStore]:
    with TraceStore(path, clock=clock) as made:
        yield made


@pytest.fixture
async def file(path: Path, clock: FakeClock) -> AsyncIterator[TraceFile]:
    made = TraceFile(path, clock)
    yield made
    await made.aclose()


def begin(store: TraceStore, run_id: str, at: float) -> None:
    steps = [{"name": "triage", "kind": "predict"}]
    store.append([Event("run.start", at, {"run_id": run_id, "pipeline": "support", "steps": steps})])


async def test_without_a_file_there_is_nothing(file: TraceFile, path: Path) -> None:
    """No host has written yet: empty lists, and no file is made."""
    assert await file.runs(10) == []
    assert await file.traces(10) == []
    assert await file.run("r") is None
    assert await file.trace("t") is None
    assert not await asyncio.to_thread(path.exists)


async def test_a_run_under_way_can_be_cancelled(file: TraceFile, store: TraceStore, clock: FakeClock) -> None:
    """Its row says that it runs, and its state what a run's panel shows, with the time so far."""
    begin(store, "r", clock.now() - 3)
    (row,) = await file.runs(10)
    assert (row["run_id"], row["pipeline"], row["status"], row["error"]) == ("r", "support", "running", "")
    told = await file.run("r")
    assert told is not None
    state = told["state"]
    assert (state["run"]["status"], state["run"]["elapsed_s"], state["run"]["can_cancel"]) == ("running", 3.0, True)
    assert [step["name"] for step in state["steps"]] == ["triage"]


async def test_a_run_that_failed_says_why(file: TraceFile, store: TraceStore, clock: FakeClock) -> None:
    """In one line of the list, and in its state; there is nothing left to cancel."""
    begin(store, "r", clock.now() - 3)
    store.append(
        [Event("run.end", clock.now(), {"run_id": "r", "status": "failed", "duration_s": 3.0, "error": ERROR})]
    )
    (row,) = await file.runs(10)
    assert (row["status"], row["duration_s"], row["error"]) == ("failed", 3.0, "ModelError: The model refuses.")
    told = await file.run("r")
    assert told is not None
    assert told["state"]["run"]["can_cancel"] is False


async def test_a_run_that_asks_waits(file: TraceFile, store: TraceStore, clock: FakeClock) -> None:
    """In the list too; what it asks is in its state."""
    begin(store, "r", clock.now())
    asked = {"id": "q", "step": "triage", "text": "Well?", "fields": []}
    store.append([Event("run.question", clock.now(), {"run_id": "r", **asked})])
    (row,) = await file.runs(10)
    assert row["status"] == "waiting"
    told = await file.run("r")
    assert told is not None
    assert [one["text"] for one in told["state"]["questions"]] == ["Well?"]


async def test_steps_can_be_run_again_in_the_notebook_that_has_the_run(file: TraceFile, store: TraceStore) -> None:
    """All but the parts of an ``each``, once the run is over; nowhere when no notebook has it."""
    parts = {"rows": None, "rows.both": "rows", "rows.both.a": "rows.both", "branch": None, "branch.b": "branch"}
    kinds = {"rows": "each", "rows.both": "parallel", "branch": "when"}
    steps = [{"name": name, "kind": kinds.get(name, "predict"), "parent": parent} for name, parent in parts.items()]
    store.append([Event("run.start", 1.0, {"run_id": "r", "steps": steps})])

    async def repeatable(*, has_notebook: bool) -> list[str]:
        told = await file.run("r", has_notebook=has_notebook)
        assert told is not None
        return [step["name"] for step in told["state"]["steps"] if step["can_rerun"]]

    assert await repeatable(has_notebook=True) == []
    store.append([Event("run.end", 2.0, {"run_id": "r", "status": "succeeded"})])
    assert await repeatable(has_notebook=True) == ["rows", "branch", "branch.b"]
    assert await repeatable(has_notebook=False) == []


async def test_runs_are_told_to_be_compared(file: TraceFile, store: TraceStore) -> None:
    """With what their steps took, but for those around others; one that goes on is read again."""
    steps = [{"name": "both"}, {"name": "both.a", "parent": "both"}, {"name": "late"}]
    usage = {"input_tokens": 10, "output_tokens": 5, "cost": 0.25}
    done = {"run_id": "r", "status": "succeeded", "duration_s": 2.0}
    store.append(
        [
            Event("run.start", 1.0, {"run_id": "r", "pipeline": "support", "steps": steps}),
            Event("pipeline.step", 3.0, {**done, "step": "both.a", "usage": usage}),
            Event("pipeline.step", 3.0, {**done, "step": "both", "usage": usage}),
        ]
    )
    (told,) = await file.figures(10)
    assert [one["name"] for one in told["steps"]] == ["both.a"]
    assert (told["pipeline"], told["status"], told["output_tokens"], told["cost"]) == ("support", "running", 5, 0.25)
    store.append([Event("pipeline.step", 4.0, {**done, "step": "late"}), Event("run.end", 4.0, done)])
    over = await file.figures(10)
    assert [one["name"] for one in over[0]["steps"]] == ["both.a", "late"]
    assert (await file.figures(10))[0] is over[0]


async def test_traces_are_told_with_their_spans(file: TraceFile, store: TraceStore) -> None:
    """A line each in the list, newest first, and all spans of one."""
    store.append(
        spans=[
            Span("t", "a", None, "cell", 10.0, 12.0),
            Span("t", "b", "a", "step", 10.5, 11.0, "error"),
            Span("u", "c", None, "call", 20.0, 21.0),
        ]
    )
    assert await file.traces(10) == [
        {"trace_id": "u", "name": "call", "start": 20.0, "duration_s": 1.0, "spans": 1, "errors": 0},
        {"trace_id": "t", "name": "cell", "start": 10.0, "duration_s": 2.0, "spans": 2, "errors": 1},
    ]
    told = await file.trace("t")
    assert told is not None
    assert [(one["id"], one["parent"]) for one in told["spans"]] == [("a", None), ("b", "a")]
    assert (told["status"], await file.span("t", "b"), await file.span("t", "x")) == ("ok", {}, None)


async def test_a_store_that_was_set_aside_is_not_read_on(
    file: TraceFile, path: Path, clock: FakeClock, store: TraceStore
) -> None:
    """A host that could not use the file began a new one: that is what is told from then on."""
    begin(store, "old", 1.0)
    assert [run["run_id"] for run in await file.runs(10)] == ["old"]
    for one in path.parent.glob("traces.sqlite*"):
        one.rename(one.with_name(f"aside-{one.name}"))
    with TraceStore(path, clock=clock) as new:
        begin(new, "new", clock.now())
        assert [run["run_id"] for run in await file.runs(10)] == ["new"]


async def test_a_damaged_file_is_an_error_and_no_end(file: TraceFile, path: Path, clock: FakeClock) -> None:
    """Who asks hears it; once the file is sound again, it is read."""
    await asyncio.to_thread(path.write_bytes, b"no database at all" * 100)
    with pytest.raises(sqlite3.Error):
        await file.runs(10)
    await asyncio.to_thread(path.unlink)
    with TraceStore(path, clock=clock) as new:
        begin(new, "r", clock.now())
        assert len(await file.runs(10)) == 1
