"""Plain functions of runs that are written down: they go straight on, each durable before the next one begins."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dspex_lab.errors import Cancelled, PipelineError
from dspex_lab.pipelines import Journal, Launcher, Pipeline, Run, RunState, native, predict
from dspex_lab.pipelines.journal.recovery import remembered
from dspex_lab.portal import Portal
from dspex_lab.testing.stage import Stage

LIMIT_S = 10.0


class Bench:
    """A stage whose runs are written down."""

    def __init__(self, portal: Portal, file: Path) -> None:
        self.stage = Stage(portal)
        self.file = file
        self.journal = Journal(file)
        self.launcher = Launcher(portal, self.stage.router, journal=self.journal)

    def pipeline(self, **steps: Any) -> Pipeline:
        return Pipeline("test", steps, start=self.launcher.start)

    def kept(self) -> list[str]:
        """The steps of all runs that others can see now."""
        database = sqlite3.connect(self.file)
        try:
            return [row[0] for row in database.execute("SELECT step FROM steps ORDER BY at")]
        finally:
            database.close()

    def states(self) -> list[str]:
        return [one.written_state for one in self.journal.runs()]

    def resumed(self, made: Pipeline) -> Run:
        """The one run, gone on with."""
        (record,) = self.journal.runs()
        known = remembered(record, made.plan, self.journal.steps(record.run_id))
        return self.launcher.go_on(made.plan, record, {"q": "x"}, known)

    def lock(self) -> sqlite3.Connection:
        """Keeps everybody from writing until it is closed, as another notebook does for a moment."""
        database = sqlite3.connect(self.file, check_same_thread=False, isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        return database


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Portal() as portal:
        made = Bench(portal, tmp_path / "data" / "journal.sqlite")
        yield made
    made.journal.close()


def test_a_chain_needs_no_event_loop(bench: Bench) -> None:
    """It ends, and is written down, while the loop is held up."""
    is_open, is_held = threading.Event(), threading.Event()

    def hold() -> None:
        is_held.set()
        is_open.wait(LIMIT_S)

    holding = threading.Thread(target=lambda: bench.stage.portal.call_soon(hold))
    holding.start()
    assert is_held.wait(LIMIT_S)
    made = bench.pipeline(a=native(lambda q: q + 1), b=native(lambda a: a + 1))
    assert made.submit(q=1).result(LIMIT_S) == {"a": 2, "b": 3}
    assert (bench.kept(), bench.states()) == (["a", "b"], ["succeeded"])
    is_open.set()
    holding.join(LIMIT_S)


def test_each_function_is_durable_before_the_next_begins(bench: Bench) -> None:
    """What another process would find, seen from inside the steps; the run itself is there before the first."""
    seen: list[tuple[list[str], list[str]]] = []

    def look(x: Any) -> Any:
        seen.append((bench.kept(), bench.states()))
        return x

    made = bench.pipeline(a=native(look, reads=["q"]), b=native(look, reads=["a"]), c=native(look, reads=["b"]))
    made(q=1)
    assert seen == [([], ["running"]), (["a"], ["running"]), (["a", "b"], ["running"])]


def test_functions_after_a_model_are_kept_too(bench: Bench) -> None:
    """The walk that begins in the middle of a run keeps its steps, and the run goes on with them."""
    is_broken = [True]

    def end(b: str) -> str:
        if is_broken:
            raise ValueError("no")
        return f"{b}!"

    ran: list[str] = []

    def begin(mood: str) -> str:
        ran.append(mood)
        return mood

    made = bench.pipeline(mood=predict("q -> mood"), b=native(begin), end=native(end))
    run = made.submit(q="x")
    with pytest.raises(PipelineError):
        run.result(LIMIT_S)
    assert bench.kept() == ["mood", "b"]
    is_broken.clear()
    again = bench.resumed(made)
    assert again.result(LIMIT_S).end == "mood of q!"
    assert (ran, len(bench.stage.backend.calls), bench.states()) == (["mood of q"], 1, ["succeeded"])


def test_what_has_finished_is_walked_over(bench: Bench) -> None:
    """A run of functions that goes on needs no loop either, and no function of its first life."""
    ran: list[str] = []
    is_broken = [True]

    def first(q: str) -> str:
        ran.append(q)
        return q

    def second(a: str) -> str:
        if is_broken:
            raise ValueError("no")
        return a

    made = bench.pipeline(a=native(first), b=native(second), c=native(lambda b: b))
    with pytest.raises(PipelineError):
        made(q="x")
    is_broken.clear()
    again = bench.resumed(made)
    assert again.result(LIMIT_S) == {"a": "x", "b": "x", "c": "x"}
    assert ran == ["x"]
    resumed = [one["step"] for one in bench.stage.told("pipeline.step", status="succeeded") if one.get("resumed")]
    assert resumed == ["a"]


def test_a_disk_that_holds_up_the_beginning_holds_up_no_cancel(bench: Bench) -> None:
    """While another notebook has the file the run ends at once, and the file has its end afterwards."""
    bench.pipeline(a=native(lambda q: q))(q="x")
    has_begun = threading.Event()
    bench.stage.hub.on("run.start", lambda event: has_begun.set())
    with contextlib.closing(bench.lock()):
        run = bench.pipeline(b=native(lambda q: q)).submit(q="x")
        assert has_begun.wait(LIMIT_S)
        assert run.cancel()
        with pytest.raises(Cancelled):
            run.result(LIMIT_S)
    assert (run.state, bench.states()) == (RunState.CANCELLED, ["cancelled", "succeeded"])


def test_a_disk_that_holds_up_a_step_holds_up_no_cancel(bench: Bench) -> None:
    """The same while a step that has finished is to be kept."""
    locks: list[sqlite3.Connection] = []
    is_locked = threading.Event()

    def step(q: str) -> str:
        locks.append(bench.lock())
        is_locked.set()
        return q

    run = bench.pipeline(a=native(lambda q: q), b=native(step, reads=["a"]), c=native(lambda b: b)).submit(q="x")
    assert is_locked.wait(LIMIT_S)
    assert run.cancel()
    with pytest.raises(Cancelled):
        run.result(LIMIT_S)
    locks[0].close()
    assert (bench.states(), bench.kept()[:1]) == (["cancelled"], ["a"])
    assert bench.stage.told("pipeline.step", step="c") == []


def test_a_chain_that_cannot_be_written_goes_on(tmp_path: Path) -> None:
    """It says so once."""
    (tmp_path / "data").write_text("no folder")
    with Portal() as portal:
        bench = Bench(portal, tmp_path / "data" / "journal.sqlite")
        assert bench.pipeline(a=native(lambda q: q), b=native(lambda a: a))(q="x").b == "x"
        bench.journal.close()
    (told,) = bench.stage.told("pipeline.warning")
    assert "not written down" in told["message"]
