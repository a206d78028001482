"""Batches that go on: what is done is not done again, in whatever order the rows come."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dspex_lab.errors import ConfigurationError, PipelineError
from dspex_lab.pipelines import BatchStarter, BatchState, BatchStore, Pipeline, native
from dspex_lab.testing.stage import Stage


class Counted:
    """A pipeline that notes which numbers it ran; ``faulty`` ones fail."""

    def __init__(self) -> None:
        self.ran: list[int] = []
        self.faulty: set[int] = set()

    def pipeline(self, stage: Stage, *, name: str = "twice") -> Pipeline:
        return stage.pipeline(**{name: native(self.twice, writes=["twice"])})

    def twice(self, number: int) -> int:
        self.ran.append(number)
        if number in self.faulty:
            raise ValueError("of no use")
        return number * 2


@pytest.fixture
def counted() -> Counted:
    return Counted()


def run(made: Pipeline, numbers: Any, **options: Any) -> list[int | None]:
    result = made.map([{"number": number} for number in numbers], progress=False, **options)
    return [
        None if missing else int(value) for value, missing in zip(result["twice"], result["twice"].isna(), strict=True)
    ]


def test_what_is_done_is_not_done_again(kept_stage: Stage, counted: Counted) -> None:
    """The same rows once more run none, and give the same."""
    made = counted.pipeline(kept_stage)
    assert run(made, range(5)) == run(made, range(5), resume=True) == [0, 2, 4, 6, 8]
    assert sorted(counted.ran) == list(range(5))


def test_without_resume_all_is_done_again(kept_stage: Stage, counted: Counted) -> None:
    """A new batch is a new one."""
    made = counted.pipeline(kept_stage)
    run(made, range(3))
    run(made, range(3))
    assert sorted(counted.ran) == [0, 0, 1, 1, 2, 2]


def test_rows_that_failed_are_tried_again(kept_stage: Stage, counted: Counted) -> None:
    """And only those."""
    made = counted.pipeline(kept_stage)
    counted.faulty = {1, 3}
    assert run(made, range(4)) == [0, None, 4, None]
    counted.faulty, counted.ran = {3}, []
    assert run(made, range(4), resume=True) == [0, 2, 4, None]
    assert sorted(counted.ran) == [1, 3]


def test_rows_are_known_by_their_content(kept_stage: Stage, counted: Counted) -> None:
    """Rows that were added, left out or moved disturb nothing."""
    made = counted.pipeline(kept_stage)
    run(made, [1, 2, 3, 4])
    counted.ran = []
    assert run(made, [9, 4, 1, 3], resume=True) == [18, 8, 2, 6]
    assert counted.ran == [9]


def test_rows_of_the_same_content_are_rows_of_their_own(kept_stage: Stage, counted: Counted) -> None:
    """Three were done; of four that are the same, one is run."""
    made = counted.pipeline(kept_stage)
    run(made, [7, 7, 7])
    counted.ran = []
    assert run(made, [7, 7, 7, 7], resume=True) == [14] * 4
    assert counted.ran == [7]


def test_a_stopped_batch_goes_on_by_its_id(kept_stage: Stage, counted: Counted) -> None:
    """By the beginning of it, as it is shown."""
    gate = threading.Event()

    def slow(number: int) -> int:
        if number == 2:
            kept_stage.is_slow.set()
            gate.wait(10)
        return counted.twice(number)

    made = kept_stage.pipeline(twice=native(slow))
    first = made.map(range(4), progress=False, wait=False, concurrency=1)
    assert kept_stage.is_slow.wait(10)
    first.stop()
    assert first.result(10)["twice"].tolist() == [0, 2]
    gate.set()
    second = made.map(range(4), progress=False, wait=False, resume=first.id[:8])
    assert second.result(10)["twice"].tolist() == [0, 2, 4, 6]
    assert second.id == first.id
    assert (second.statistics().reused, second.statistics().succeeded) == (2, 2)


def test_a_batch_under_way_is_not_taken_over(kept_stage: Stage, counted: Counted) -> None:
    """Nobody does what somebody else is doing."""
    gate = threading.Event()
    made = kept_stage.pipeline(out=native(lambda number: gate.wait(10)))
    batch = made.map([1], progress=False, wait=False)
    with pytest.raises(ConfigurationError, match="under way already"):
        made.map([1], progress=False, resume=batch.id)
    gate.set()
    batch.result(10)


def test_an_id_that_there_is_not(kept_stage: Stage, counted: Counted) -> None:
    """Is an error, before anything runs."""
    with pytest.raises(ConfigurationError, match="no batch 'abc'"):
        run(counted.pipeline(kept_stage), [1], resume="abc")


def test_the_first_time_there_is_nothing_to_resume(kept_stage: Stage, counted: Counted) -> None:
    """``resume=True`` begins a batch where there is none: a cell can always have it."""
    assert run(counted.pipeline(kept_stage), [1], resume=True) == [2]


def test_another_pipeline_is_another_batch(kept_stage: Stage, counted: Counted) -> None:
    """What another pipeline did is never given for this one's; asked for by its id it is an error."""
    first = counted.pipeline(kept_stage).map([{"number": 1}], progress=False, wait=False)
    first.result(10)
    other = kept_stage.pipeline(twice=native(lambda number: -number))
    assert run(other, [1], resume=True) == [-1]
    with pytest.raises(PipelineError, match="another one by now"):
        run(other, [1], resume=first.id)


def test_a_batch_that_is_not_durable_leaves_nothing(kept_stage: Stage, counted: Counted, tmp_path: Path) -> None:
    """No file is made for it."""
    run(counted.pipeline(kept_stage), [1], durable=False)
    assert not (tmp_path / "journal.sqlite").exists()


def test_what_cannot_be_written_is_said_once(kept_stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """A row whose output has no form on disk is done all the same, and is run again by a resume."""
    made = kept_stage.pipeline(out=native(lambda number: object()))
    assert len(made.map([1, 2], progress=False)) == 2
    assert capsys.readouterr().err.count("cannot be written down") == 1


def test_a_disk_that_is_full_ends_no_batch(stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It goes on, and says that it is not written down."""
    path = tmp_path / "file" / "journal.sqlite"
    (tmp_path / "file").write_text("in the way")
    stage.batches = BatchStarter(stage.portal, stage.router, BatchStore(path))
    assert stage.pipeline(same=native(lambda number: number)).map([1, 2], progress=False)["same"].tolist() == [1, 2]
    assert capsys.readouterr().err.count("not written down") == 1
    stage.batches.close()


def test_rows_that_end_together_share_a_commit(kept_stage: Stage, tmp_path: Path) -> None:
    """Durability does not cost a commit for each row."""
    store = BatchStore(tmp_path / "journal.sqlite")
    kept_stage.batches = BatchStarter(kept_stage.portal, kept_stage.router, store)
    kept_stage.pipeline(same=native(lambda number: number)).map(range(400), progress=False)
    database = sqlite3.connect(tmp_path / "journal.sqlite")
    assert database.execute("SELECT count(*), count(DISTINCT at) FROM batch_rows").fetchone()[0] == 400
    assert database.execute("SELECT count(DISTINCT at) FROM batch_rows").fetchone()[0] < 200
    database.close()
    kept_stage.batches.close()


def test_a_closed_lab_keeps_what_is_done(stage: Stage, tmp_path: Path, counted: Counted) -> None:
    """Closing stops the batch, and its rows are there for the next one."""
    path = tmp_path / "journal.sqlite"
    stage.batches = BatchStarter(stage.portal, stage.router, BatchStore(path))
    gate = threading.Event()
    steps: dict[str, Callable[[int], Any]] = {"a": lambda number: gate.wait(10) if number else number}
    made = stage.pipeline(out=native(steps["a"]))
    batch = made.map(range(2), progress=False, wait=False, concurrency=1)
    while batch.statistics().succeeded < 1:
        batch.wait(0.01)
    stage.batches.close()
    gate.set()
    assert batch.state is BatchState.STOPPED
    stage.batches = BatchStarter(stage.portal, stage.router, BatchStore(path))
    again = stage.pipeline(out=native(steps["a"])).map(range(2), progress=False, wait=False, resume=True)
    again.result(10)
    assert again.statistics().reused == 1
    stage.batches.close()
