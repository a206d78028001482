"""What is left of workers and hosts is found by its mark, and nobody else's process is ever touched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dspex_lab.pool.processes import remains
from dspex_lab.pool.processes.remains import HOST_MARK, WORKER_MARK, end_adopted, end_marked

Start = Callable[..., subprocess.Popen[bytes]]

LIMIT_S = 10.0


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes that wait for ever, with marks in their environment."""
    made: list[subprocess.Popen[bytes]] = []

    def begin(**marks: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", "import sys; print(1, flush=True); sys.stdin.read()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **marks},
        )
        made.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield begin
    for process in made:
        process.kill()
        process.communicate(timeout=LIMIT_S)


def test_only_the_marked_are_ended(start: Start) -> None:
    """Another host's processes, and those of nobody, go on."""
    ours, other, plain = start(**{HOST_MARK: "/a/1"}), start(**{HOST_MARK: "/a/2"}), start()
    assert end_marked({"/a/1"}) == 1
    assert ours.wait(LIMIT_S) != 0
    assert (other.poll(), plain.poll()) == (None, None)


def test_a_pid_that_was_given_out_again_is_left_alone(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who carries the mark no more when the signal is about to go was another process."""
    process = start()
    looks: list[int] = []

    def first_marked(pid: int) -> str | None:
        looks.append(pid)
        return "/a/1" if pid == process.pid and looks.count(pid) == 1 else None

    monkeypatch.setattr(remains, "_host_of", first_marked)
    assert end_marked({"/a/1"}) == 0
    assert looks.count(process.pid) == 2
    assert process.poll() is None


def test_another_users_environment_is_no_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read belongs to somebody else."""

    def refuse(self: Path) -> bytes:
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert end_marked({"/a/1"}) == 0


def test_orphans_end_with_their_worker_only(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon of a living worker goes on, one of a worker that is gone ends, and the host's own children stay."""
    kept, left, own = start(**{WORKER_MARK: "w1"}), start(**{WORKER_MARK: "w2"}), start()
    monkeypatch.setattr(remains, "_children", lambda: {kept.pid, left.pid, own.pid})
    assert end_adopted({own.pid}, {"w1"}) == 1
    assert left.wait(LIMIT_S) != 0
    assert (kept.poll(), own.poll()) == (None, None)
