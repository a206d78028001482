"""A log that is written to beside a stream: everything once, and no more than it may hold."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dspex_lab.worker.output import LogEcho, echo_output


@pytest.fixture
def log(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A file that is written to at its end, as logs are."""
    path = tmp_path / "worker.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    yield path, descriptor
    os.close(descriptor)


def test_what_is_written_is_in_the_log_at_once(log: tuple[Path, int]) -> None:
    """Also text that has no form as bytes."""
    path, descriptor = log
    assert LogEcho(descriptor, None, is_own=True).write("é \udc80") == 3
    assert path.read_text() == "é ?"


def test_what_the_watcher_found_is_not_written_again(log: tuple[Path, int]) -> None:
    """The kernel's thread that reads the descriptor wrote it there."""
    path, descriptor = log
    LogEcho(descriptor, threading.current_thread(), is_own=True).write("twice")
    assert path.read_text() == ""


@pytest.mark.parametrize("is_own", [True, False])
def test_a_log_of_its_own_has_a_bound(log: tuple[Path, int], *, is_own: bool) -> None:
    """The last words are kept; a log of somebody else's is left alone."""
    path, descriptor = log
    echo = LogEcho(descriptor, None, is_own=is_own)
    for number in range(40):
        echo.write("x" * 999_999 + str(number % 10))
    assert (path.stat().st_size < 10_000_000) is is_own
    assert path.read_text().endswith("x9")


def test_both_streams_have_their_descriptor(log: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """ipykernel's streams write to what they find there."""

    class Stream:
        echo: LogEcho

    streams = Stream(), Stream()
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    path, descriptor = log
    echo_output((descriptor, descriptor), is_own=True)
    for stream in streams:
        stream.echo.write("a")
    assert path.read_text() == "aa"
