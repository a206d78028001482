"""Large values there and back, in this process and through a real pool host; nothing of them is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from dspex_lab.backends.base import Backend
from dspex_lab.backends.inline import InlineBackend
from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.testing.site import Site, echo, python_call, until
from dspex_lab.wire.segments import SHARED_MEMORY

MB = 2**20
POOLS = (PoolSpec(name="general", size=1, min_ready=1, max_memory_mb=2048),)


@pytest.fixture(scope="module", autouse=True)  # set up before any test looks for leaks
def site() -> Iterator[Site]:
    """One host for all tests of this file."""
    made = Site()

    async def start() -> None:
        backend = KernelBackend(made.settings(*POOLS))
        await backend.submit(echo()).result()
        await backend.aclose()

    asyncio.run(start())
    yield made
    made.end()


@pytest.fixture
def settings(site: Site) -> Settings:
    return site.settings(*POOLS)


@pytest.fixture(params=["inline", "kernels"])
async def backend(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Backend]:
    makers: dict[str, Callable[[], Backend]] = {"inline": InlineBackend, "kernels": lambda: KernelBackend(settings)}
    made = makers[request.param]()
    await made.open()
    yield made
    await made.aclose()


async def value_of(backend: Backend, value: object, **fields: Any) -> Any:
    async with asyncio.timeout(30):
        return (await backend.submit(echo(value, **fields)).result()).value


def segments() -> list[str]:
    return [path.name for path in SHARED_MEMORY.iterdir() if path.name.startswith("dspex-")]


async def test_an_array_comes_back(backend: Backend) -> None:
    """64 MB there and back are the same, and the reader may write into them."""
    array = np.random.default_rng(1).random(64 * MB // 8)
    back = await value_of(backend, array)
    assert np.array_equal(back, array)
    back += 1
    assert segments() == []


@pytest.mark.parametrize("size_bytes", [0, 1, 64 * 1024, MB - 1, MB, MB + 1, 20 * MB])
async def test_bytes_come_back(backend: Backend, size_bytes: int) -> None:
    """Bytes of every size are the same there and back."""
    value = np.random.default_rng(size_bytes).bytes(size_bytes)
    assert await value_of(backend, value) == value
    assert segments() == []


async def test_a_frame_comes_back(backend: Backend) -> None:
    """A large pandas frame keeps columns, types and index."""
    numbers = np.random.default_rng(1).random(500_000)
    frame = pd.DataFrame({"number": numbers, "text": [f"row {row}" for row in range(500_000)]})
    pd.testing.assert_frame_equal(await value_of(backend, frame), frame)
    assert segments() == []


async def test_an_arrow_table_comes_back(backend: Backend) -> None:
    """A large Arrow table is equal, schema and all."""
    table = pa.table({"a": np.arange(MB), "b": pa.array(["x", None] * (MB // 2))})
    assert (await value_of(backend, table)).equals(table)
    assert segments() == []


async def test_many_large_values_of_one_call_are_not_mixed_up(backend: Backend) -> None:
    """Each array is its own, also those of calls that run again and keep theirs until the end."""
    arrays = [np.full(MB // 4, number) for number in range(5)]
    back = await value_of(backend, {"arrays": arrays, "text": "t" * 2 * MB}, idempotent=True)
    assert [one[0] for one in back["arrays"]] == [0, 1, 2, 3, 4]
    assert (len(back["text"]), segments()) == (2 * MB, [])


def add_one(array: np.ndarray[Any, Any]) -> float:
    array += 1
    return float(array.sum())


async def test_an_argument_is_the_functions_own(backend: Backend) -> None:
    """A function may write into an array that it was given; the caller's stays as it was."""
    array = np.zeros(MB)
    async with asyncio.timeout(30):
        assert (await backend.submit(python_call(add_one, array)).result()).value == MB
    assert array.sum() == 0


def wait_with(_: object, mark: str) -> None:
    import time

    Path(mark).touch()
    time.sleep(60)


async def test_a_cancelled_call_leaves_nothing(settings: Settings, tmp_path: Path) -> None:
    """Neither one that runs with a large argument, kept or not, nor one that waits with its own."""
    backend, array = KernelBackend(settings), np.zeros(MB)
    for is_idempotent in (False, True):
        mark = tmp_path / f"mark-{is_idempotent}"
        running = backend.submit(python_call(wait_with, array, str(mark), idempotent=is_idempotent))
        waiting = backend.submit(echo(array))
        await until(mark.exists)
        for pending in (waiting, running):
            pending.cancel()
        for pending in (waiting, running):
            with pytest.raises(Exception, match="cancelled"):
                await pending.result()
        assert segments() == []
    await backend.aclose()


async def test_a_result_that_nobody_waits_for_leaves_nothing(settings: Settings) -> None:
    """A call that ended here before its large value came: the value is removed, whoever has it then."""
    backend = KernelBackend(settings)
    for _ in range(10):
        pending = backend.submit(echo(np.zeros(MB)))
        await asyncio.sleep(0)
        pending.cancel()
    assert await value_of(backend, 1) == 1
    assert segments() == []
    pending = backend.submit(echo(np.zeros(MB)))
    await backend.aclose()  # says goodbye while the value is made
    assert pending.has_ended
    await until(lambda: segments() == [])


async def test_without_room_values_travel_all_the_same(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that finds no room in shared memory sends frames; the answer may still come through it."""
    backend = KernelBackend(settings)
    await backend.open()
    monkeypatch.setattr(type(backend._caller.segments), "_write", lambda *_: False)
    array = np.random.default_rng(1).random(MB)
    assert np.array_equal(await value_of(backend, array), array)
    await backend.aclose()


async def test_a_large_value_does_not_pass_through_the_host(settings: Settings, site: Site) -> None:
    """The host's memory at its highest does not grow by what travels."""
    backend = KernelBackend(settings)
    await value_of(backend, 1)
    status = Path(f"/proc/{site.host_pid()}/status")
    before = peak_bytes(status)
    for _ in range(3):
        await value_of(backend, np.zeros(64 * MB // 8))
    assert peak_bytes(status) - before < 4 * MB
    await backend.aclose()


def peak_bytes(status: Path) -> int:
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
