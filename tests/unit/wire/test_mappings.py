"""Files as memory: a view holds for as long as anybody reads it, and not longer."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dspex_lab.wire.mappings import Mappings

SMALL_BYTES, LARGE_BYTES = 2**20, 32 * 2**20


@pytest.fixture(params=[SMALL_BYTES, LARGE_BYTES], ids=["small", "large"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(request.param))
    return path


def mapped(mappings: Mappings, path: Path) -> memoryview:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return mappings.map(descriptor, path.stat().st_size)
    finally:
        os.close(descriptor)


def is_mapped(path: Path) -> bool:
    return str(path) in Path("/proc/self/maps").read_text()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline


def test_what_is_written_into_a_view_stays_the_readers_own(path: Path) -> None:
    """The view is private: the file does not change."""
    view = mapped(Mappings(), path)
    view[:3] = b"own"
    assert bytes(view[:3]) == b"own"
    assert path.read_bytes()[:3] == bytes(3)


def test_a_view_is_unmapped_after_its_last_reader(path: Path) -> None:
    """An array on it keeps it, its own slices too; soon after the last one the mapping is gone."""
    mappings = Mappings()
    part = np.frombuffer(mapped(mappings, path), np.uint8)[10:20]
    assert is_mapped(path)
    assert part.sum() == 0
    del part
    gc.collect()
    wait_until(lambda: not is_mapped(path))


def test_views_outlive_the_mappings_that_made_them(path: Path) -> None:
    """Who made them may be forgotten before."""
    view = mapped(Mappings(), path)
    gc.collect()
    assert bytes(view[-3:]) == bytes(3)
    del view
    gc.collect()
    wait_until(lambda: not is_mapped(path))


def test_no_thread_is_left_without_large_views(path: Path) -> None:
    """There is one for as long as a large view, and none for small ones."""
    before = set(threading.enumerate())
    view = mapped(Mappings(), path)
    began = set(threading.enumerate()) - before
    assert len(began) == (path.stat().st_size == LARGE_BYTES)
    del view
    gc.collect()
    for thread in began:
        thread.join(10.0)
        assert not thread.is_alive()


def test_large_views_come_and_go(path: Path) -> None:
    """After the last one there may be others."""
    mappings = Mappings()
    for _ in range(3):
        views = [mapped(mappings, path) for _ in range(3)]
        del views
        gc.collect()
        wait_until(lambda: not is_mapped(path))
