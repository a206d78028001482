"""Notebook-like processes that run one pipeline each, to be killed: ``python -m tests.faults.doomed FOLDER``.

One process has everything imported and forks a new life for each line that it reads, ``MOMENTS``: after so many moments
(before and after each step's side effect) the life kills itself; 0: it is left to others. It says the pid of each life,
and how it ended. A life goes on with the newest unfinished run, or begins one.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dspex_lab.lab import Lab
from dspex_lab.pipelines import Pipeline, each, native, parallel, pipeline, when
from dspex_lab.pipelines.journal.owner import Owner
from dspex_lab.settings import Settings
from dspex_lab.testing import FakeBackend

__all__ = ["ITEMS", "NEEDS", "RESULT", "journal_settings", "make_pipeline"]

ITEMS = [1, 2, 3, 4]
#: Which keys must be durable before a step may begin, by its key.
NEEDS = {
    "one": [],
    "left": ["one"],
    "right": ["one"],
    "both": ["left", "right"],
    **{f"squares[{index}]/squares.item": ["one"] for index in range(len(ITEMS))},
    "total": ["both", *(f"squares[{index}]/squares.item" for index in range(len(ITEMS)))],
    "verdict.then": ["total", "verdict?"],
    "last": ["verdict.then"],
}
#: What the pipeline comes to.
RESULT: Mapping[str, Any] = {
    "one": 1,
    "left": 2,
    "right": 3,
    "both": 5,
    "squares": [1, 4, 9, 16],
    "total": 35,
    "verdict": "large",
    "last": "large!",
}


def journal_settings(folder: Path) -> Settings:
    return Settings.create(data_dir=folder / "data", runtime_dir=folder / "rt")


class _Ledger:
    """What the steps did to the world: a line for each, whole or not there."""

    def __init__(self, path: Path, moments: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._left = moments
        self._lock = threading.Lock()

    def did(self, key: str, value: Any) -> Any:
        self._moment()
        os.write(self._file, f"{key}\n".encode())
        self._moment()
        return value

    def _moment(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def make_pipeline(ledger: _Ledger, lab: Lab) -> Pipeline:
    """A chain with every kind of step in it."""
    made = pipeline(
        "doomed",
        start=lab.launcher.start,
        one=native(lambda start: ledger.did("one", start)),
        sides=parallel(
            left=native(lambda one: ledger.did("left", one + 1)), right=native(lambda one: ledger.did("right", one + 2))
        ),
        both=native(lambda left, right: ledger.did("both", left + right)),
        squares=each(
            native(lambda one, item: ledger.did(f"squares[{item - 1}]/squares.item", one * item**2)),
            over="items",
            item="item",
            concurrency=3,
        ),
        total=native(lambda both, squares: ledger.did("total", both + sum(squares))),
        verdict=when(
            lambda s: s.total > 30,
            then=native(lambda total: ledger.did("verdict.then", "large")),
            otherwise=native(lambda total: ledger.did("verdict.otherwise", "small")),
        ),
        last=native(lambda verdict: ledger.did("last", f"{verdict}!")),
    )
    lab.pipelines.replace(made.name, made)
    return made


def _live(folder: Path, moments: int) -> None:
    with Lab(journal_settings(folder), backend=FakeBackend({})) as lab:
        made = make_pipeline(_Ledger(folder / "ledger", moments), lab)
        past = lab.history.unfinished(made.name)
        run = made.submit(start=1, items=ITEMS) if past is None else past.resume()
        result = dict(run.result(60))
        if {name: result[name] for name in RESULT} != RESULT:
            sys.stderr.write(f"{result}\n")
            os._exit(3)


def main(folder: Path) -> None:
    _ = Owner.this_process()  # what a life imports late is imported here, once
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _live(folder, int(line))
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
