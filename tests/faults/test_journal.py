"""Notebooks that are killed in the middle of a run, and their runs, which go on."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import cloudpickle
import pytest

from dspex_lab.errors import PipelineError
from dspex_lab.lab import Lab
from dspex_lab.pipelines import native, pipeline
from dspex_lab.pipelines.journal import Journal, KeptStep, RunRecord
from dspex_lab.pipelines.journal.values import read_value
from dspex_lab.testing.site import LIMIT_S, Site
from tests.faults.doomed import ITEMS, NEEDS, RESULT, journal_settings

ROOT = Path(__file__).parents[2]
SEED = 20261126
KILLS = 100


class Lives:
    """Starts lives one after another, and kills them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.doomed", str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def live(self, *, moments: int = 0, kill_after_s: float | None = None) -> int:
        """One life, from its start to its end; its wait status."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{moments}\n")
        stdin.flush()
        pid = int(stdout.readline())
        timer = threading.Timer(LIMIT_S if kill_after_s is None else kill_after_s, _killer(pid))
        timer.start()
        status = int(stdout.readline())
        timer.cancel()
        timer.join()
        return status

    def done(self) -> list[str]:
        """The side effects so far, in their order."""
        path = self.folder / "ledger"
        return path.read_text().splitlines() if path.exists() else []

    def close(self) -> None:
        self._process.communicate(timeout=LIMIT_S)


def _killer(pid: int) -> Callable[[], None]:
    """Kills that very process, or nobody: its pid may be another's by then."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return lambda: None

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)

    weakref.finalize(kill, os.close, descriptor)
    return kill


@pytest.fixture
def lives(tmp_path: Path) -> Iterator[Lives]:
    made = Lives(tmp_path)
    yield made
    made.close()


def newest(journal: Journal) -> tuple[RunRecord | None, list[KeptStep]]:
    records = journal.runs(limit=1)
    return (records[0], journal.steps(records[0].run_id)) if records else (None, [])


def check_file(path: Path) -> None:
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    orphans = "SELECT count(*) FROM steps WHERE run NOT IN (SELECT number FROM runs)"
    assert database.execute(orphans).fetchone() == (0,)
    database.close()


def check_kept(kept: list[KeptStep]) -> None:
    """Every row is whole: its outputs are read, and are what the step gives."""
    for one in kept:
        outputs = read_value(one.outputs, ())
        if one.key == "verdict?":
            assert outputs == {"is_true": True}
        elif one.key == "squares?":
            assert outputs == {"items": len(ITEMS)}
        elif "[" in one.key:
            index = int(one.key.split("[")[1].split("]")[0])
            assert outputs == {"squares": RESULT["squares"][index]}
        else:
            name = one.key.split(".")[0]
            assert outputs == {name: RESULT[name]}


@pytest.mark.timeout(600)  # each of 100 lives begins a process
def test_no_kill_makes_a_finished_step_run_twice(lives: Lives) -> None:
    """100 kills at seeded moments and times: what was durable is never done again, nothing begins before what it needs
    is durable, no row is half written, and every run comes to its result."""
    draw = random.Random(SEED)
    file = journal_settings(lives.folder).journal_file
    journal = Journal(file)
    kills = 0
    succeeded: set[str] = set()
    durable: set[str] = set()
    is_under_way = False
    began = time.monotonic()
    assert lives.live() == 0
    life_s = time.monotonic() - began  # what one takes that nobody kills, here and now
    seen = len(lives.done())
    succeeded.add(journal.runs(limit=1)[0].run_id)
    while kills < KILLS or is_under_way:
        is_own, is_last = kills % 2 == 0, kills >= KILLS
        status = lives.live(
            moments=draw.randint(1, 12) if is_own and not is_last else 0,
            kill_after_s=None if is_own or is_last else draw.uniform(0.0, life_s),
        )
        assert status in (0, signal.SIGKILL), f"a life ended with {status}"
        kills += status != 0
        record, kept = newest(journal)
        check_kept(kept)
        now = {one.key for one in kept}
        done = lives.done()[seen:]
        seen += len(done)
        assert len(done) == len(set(done)), "a step ran twice in one life"
        assert not durable & set(done), f"done again: {durable & set(done)}"
        for key in done:
            assert set(NEEDS[key]) <= now, f"{key} began before its needs were durable"
        assert durable <= now, f"lost: {durable - now}"
        durable = now
        is_under_way = record is not None and record.state != "succeeded"
        if record is not None and not is_under_way:
            assert now == {*NEEDS, "verdict?", "squares?"}
            succeeded.add(record.run_id)
            durable = set()  # the next life begins a new run
        else:
            assert status != 0
            assert record is None or record.state == "interrupted"
    check_file(file)
    assert len(succeeded) >= 3
    assert {one.state for one in journal.runs()} == {"succeeded"}


def nap_in_worker(first: int, mark: str) -> int:
    Path(mark).touch()
    until = time.monotonic() + 30
    while not Path(f"{mark}.go").exists() and time.monotonic() < until:
        time.sleep(0.01)
    return first + 1


def test_a_run_outlives_its_pool_host(site: Site, tmp_path: Path) -> None:
    """The host is killed under a step in a worker: the run fails, and goes on with a new host where it was."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    begun: list[int] = []
    mark = tmp_path / "mark"

    def first(start: int) -> int:
        begun.append(start)
        return start + 1

    settings = site.settings(data_dir=tmp_path / "data")
    with Lab(settings) as lab:
        made = pipeline(
            "hosted",
            start=lab.launcher.start,
            first=native(first),
            second=native(nap_in_worker, pool="general"),
            third=native(lambda second: second + 1),
        )
        run = made.submit(start=1, mark=str(mark))
        wait_for(mark)
        os.kill(site.host_pid(), signal.SIGKILL)
        with pytest.raises(PipelineError):
            run.result(LIMIT_S)
        mark.with_name("mark.go").touch()
        assert run.resume().result(LIMIT_S)["third"] == 4
    assert begun == [1]
    check_file(settings.journal_file)


def wait_for(path: Path) -> None:
    until = time.monotonic() + LIMIT_S
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not come"
        time.sleep(0.01)
