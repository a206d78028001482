"""A batch whose process is killed: no row that counted as done is run again, none is lost, and the order is right."""

from __future__ import annotations

import csv
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROWS = 400
KILLS = 3

#: Runs the rows on a lab in small, and writes each number to standard output when its function begins.
_BATCH = """
import os, sys, time
from pathlib import Path
from dspex_lab.calls import LmSpec
from dspex_lab.pipelines import BatchStarter, BatchStore, Launcher, Pipeline, native
from dspex_lab.portal import Portal
from dspex_lab.router import Router
from dspex_lab.testing.backend import FakeBackend

def twice(number: int) -> int:
    os.write(1, b"%d\\n" % number)
    time.sleep(0.005)  # rows that take a while: most kills come when some are done
    return number * 2

folder, count = Path(sys.argv[1]), int(sys.argv[2])
with Portal() as portal:
    router = Router(FakeBackend({}), LmSpec("local/none"))
    starter = BatchStarter(portal, router, BatchStore(folder / "journal.sqlite"))
    made = Pipeline("twice", {"twice": native(twice)}, start=Launcher(portal, router).start, start_batch=starter.begin)
    made.map(range(count), to=folder / "results.csv", resume=True, progress=False)
    starter.close()
"""


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _BATCH, str(folder), str(ROWS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def run_killed(folder: Path, after: int) -> list[int]:
    """The numbers that were run until the process was killed, soon after so many of them."""
    ran: list[int] = []
    with start(folder) as process:
        assert process.stdout is not None
        for line in process.stdout:
            ran.append(int(line))
            if len(ran) == after:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return ran


def run_whole(folder: Path) -> list[int]:
    with start(folder) as process:
        assert process.stdout is not None
        ran = [int(line) for line in process.stdout]
    assert process.returncode == 0
    return ran


def done_rows(folder: Path) -> set[int]:
    """The rows that count as done, by what is on disk: none where the kill came before anything was."""
    database = sqlite3.connect(folder / "journal.sqlite")
    try:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'batch_rows'").fetchone():
            return set()
        return {row[0] for row in database.execute("SELECT position FROM batch_rows WHERE succeeded")}
    finally:
        database.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_batches_go_on(tmp_path: Path, seed: int) -> None:
    """Killed at seeded points and resumed each time: what is on disk stays done, and the last one has it all."""
    draw = random.Random(seed)
    done: set[int] = set()
    for _ in range(KILLS):
        ran = run_killed(tmp_path, after=draw.randint(1, 100))
        assert not done & set(ran)
        assert len(ran) == len(set(ran))
        assert done <= (done := done_rows(tmp_path))
    ran = run_whole(tmp_path)
    assert not done & set(ran)
    assert done | set(ran) == set(range(ROWS))
    with (tmp_path / "results.csv").open(newline="") as file:
        assert [(row["number"], row["twice"], row["error"]) for row in csv.DictReader(file)] == [
            (str(number), str(number * 2), "") for number in range(ROWS)
        ]
