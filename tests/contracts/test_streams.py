"""Streams that are long, large, or left by their reader: the same in this process and on a real pool host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dspex_lab.backends.base import Backend
from dspex_lab.calls import Call
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.testing.site import Site, end_of, python_call, until

#: Fewer MB than the streams have, and more than a worker needs.
MEMORY_MB = 350
STREAM_MB = 400


@pytest.fixture(scope="module")
def host() -> Iterator[Settings]:
    """One host for all tests of this file: starting one takes seconds."""
    site = Site()
    yield site.settings(PoolSpec(name="general", size=1, max_memory_mb=MEMORY_MB), heartbeat_s=0.1)
    site.end()


def touch(mark: str) -> None:
    Path(mark).touch()


def count(mark: str) -> Iterator[str]:
    try:
        for number in range(10**6):
            yield str(number)
    finally:
        touch(mark)


async def count_later(mark: str) -> AsyncIterator[str]:
    try:
        for number in range(10**6):
            yield str(number)
    finally:
        touch(mark)


def flood(count_mb: int) -> Iterator[Any]:
    for number in range(count_mb):
        yield "x" * 1_000_000
        if number % 100 == 0:
            yield number


@pytest.mark.parametrize("function", [count, count_later])
async def test_a_reader_that_leaves_frees_its_worker(
    backend: Backend, tmp_path: Path, function: Callable[[str], Any]
) -> None:
    """The producer ends, and the pool's only worker takes the next call."""
    async for _ in backend.submit(python_call(function, str(tmp_path / "mark"), stream=True)):
        break
    await until((tmp_path / "mark").exists)
    assert await end_of(backend.submit(python_call(abs, -1))) == 1


async def test_a_reader_that_is_cancelled_frees_its_worker(backend: Backend, tmp_path: Path) -> None:
    """However it leaves."""
    read = asyncio.Event()

    async def reader() -> None:
        async for _ in backend.submit(python_call(count, str(tmp_path / "mark"), stream=True, credit=4)):
            read.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(reader())
    await read.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until((tmp_path / "mark").exists)


async def test_a_stream_may_be_longer_than_memory(backend: Backend) -> None:
    """Its texts are kept nowhere; the value holds the other items."""
    pending = backend.submit(python_call(flood, STREAM_MB, stream=True))
    total = 0
    async for chunk in pending:
        total += len(chunk.text)
    assert (await pending.result()).value == list(range(0, STREAM_MB, 100))
    assert total == STREAM_MB * 1_000_000


async def test_what_nobody_has_read_is_bounded_in_size(backend: Backend) -> None:
    """A chunk has a bound, and so have those that are under way."""
    pending = backend.submit(python_call(flood, 40, stream=True, credit=4))
    sizes = [len(chunk.text) async for chunk in pending]
    assert max(sizes) <= 64 * 1024
    assert sum(sizes) == 40_000_000
    assert await end_of(backend.submit(Call("system.echo", {"value": 1}))) == 1
