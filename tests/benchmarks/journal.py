"""What the journal adds to a step: a chain of trivial native steps beside bare SQLite commits of the same rows.

Wall time, since most of it is the disk's; both write to the same disk, with the same settings and the same number of
bytes, and take turns, so that what else the machine does meets both.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path

from dspex_lab.calls import LmSpec
from dspex_lab.pipelines import Journal, Launcher, Pipeline, native
from dspex_lab.pipelines.journal.database import open_journal
from dspex_lab.pipelines.journal.records import metrics_to_bytes
from dspex_lab.portal import Portal
from dspex_lab.router import Router
from dspex_lab.testing.backend import FakeBackend
from tests.benchmarks.table import Row, median

__all__ = ["rows"]

STEPS = 20
ROUNDS = 30
#: A step's output, in characters: about what a language model answers.
ANSWER_CHARS = 400


def rows() -> list[Row]:
    """Milliseconds a step of a journalled run, and of a bare commit."""
    with tempfile.TemporaryDirectory(prefix="dxl-journal-") as folder:
        steps_s, commits_s = _alternately(Path(folder))
    ours, bare = median(steps_s), median(commits_s)
    ratio = ours / bare
    name = f"a journalled step of a chain of {STEPS}"
    return [Row(name, ours * 1e3, "ms", "a bare SQLite commit", bare * 1e3, ratio, "<= 2x", ratio <= 2)]


def _alternately(folder: Path) -> tuple[list[float], list[float]]:
    """Seconds per step and per commit, round by round."""
    journal = Journal(folder / "ours" / "journal.sqlite")
    bare = open_journal(folder / "bare" / "journal.sqlite")
    taken: tuple[list[float], list[float]] = ([], [])
    with Portal() as portal:
        chain = _chain(portal, journal)
        chain(x0="")
        payload = _row_of(journal)
        for turn in range(ROUNDS):
            began = time.perf_counter()
            chain(x0="")
            taken[0].append((time.perf_counter() - began) / STEPS)
            began = time.perf_counter()
            for number in range(STEPS):
                _commit(bare, turn, number, payload)
            taken[1].append((time.perf_counter() - began) / STEPS)
    journal.close()
    bare.close()
    return taken


def _chain(portal: Portal, journal: Journal) -> Pipeline:
    launcher = Launcher(portal, Router(FakeBackend({}), LmSpec("local/none")), journal=journal)
    steps = {f"x{number + 1}": native(_answer, reads=[f"x{number}"]) for number in range(STEPS)}
    return Pipeline("chain", steps, start=launcher.start)


def _answer(before: str) -> str:
    return "a" * ANSWER_CHARS


def _row_of(journal: Journal) -> tuple[bytes, bytes]:
    """The outputs of one step and its figures, as they were written."""
    (record,) = journal.runs()
    step = journal.steps(record.run_id)[0]
    return step.outputs, metrics_to_bytes(step.metrics)


def _commit(database: sqlite3.Connection, run: int, number: int, payload: tuple[bytes, bytes]) -> None:
    outputs, metrics = payload
    database.execute("BEGIN IMMEDIATE")
    database.execute(
        "INSERT INTO steps (run, key, step, at, tokens, metrics, outputs) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (run, f"x{number}", f"x{number}", time.time(), 0, metrics, outputs),
    )
    database.execute("COMMIT")
