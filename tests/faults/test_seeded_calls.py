"""Ten thousand calls from a seeded schedule, with cancels, deadlines and crashes: at the end the books balance."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.calls import Call
from dspex_lab.errors import LabError
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.site import Site, echo, python_call

CALLS = 10_000
CLIENTS = 3
IN_FLIGHT = 40
SEED = 2026
POOLS = ("first", "second")


def nap(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


async def wait(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "waited"


def fail() -> None:
    raise ValueError("as asked")


def crash() -> None:
    os._exit(7)


def count(number: int) -> Iterator[str]:
    for one in range(number):
        yield str(one)


async def count_slowly(number: int) -> AsyncIterator[str]:
    for one in range(number):
        await asyncio.sleep(0.001)
        yield str(one)


def draw_call(draw: random.Random, number: int) -> tuple[Call, float | None]:
    """The next call of the schedule, and after how many seconds it is cancelled, if it is."""
    pool, cancel = draw.choice(POOLS), draw.uniform(0.0, 0.02) if draw.random() < 0.08 else None
    timeout_s = draw.uniform(0.001, 0.05) if draw.random() < 0.05 else 60.0
    fields: dict[str, Any] = {"pool": pool, "timeout_s": timeout_s, "idempotent": draw.random() < 0.3}
    fields["priority"] = draw.choice(("interactive", "batch"))
    kind = draw.random()
    if kind < 0.70:
        return echo(number, **fields), cancel
    if kind < 0.80:
        return python_call(wait, draw.uniform(0.0, 0.02), **fields), cancel
    if kind < 0.87:
        return python_call(nap, draw.uniform(0.0, 0.01), **fields), cancel
    if kind < 0.93:
        return python_call(fail, **fields), cancel
    if kind < 0.997:
        stream = draw.choice((count, count_slowly))
        return python_call(stream, draw.randrange(40), stream=True, credit=draw.randrange(1, 9), **fields), cancel
    return python_call(crash, **(fields | {"idempotent": False})), cancel


async def make_call(backend: KernelBackend, call: Call, cancel_after_s: float | None) -> str:
    """How the call ended, in the client's eyes."""
    pending = backend.submit(call)
    handle = None
    if cancel_after_s is not None:
        handle = asyncio.get_running_loop().call_later(cancel_after_s, pending.cancel)
    try:
        if call.stream:
            async for _ in pending:
                pass
        await pending.result()
    except LabError as error:
        return type(error).__name__
    finally:
        if handle is not None:
            handle.cancel()
    return "ok"


@pytest.mark.timeout(180)
async def test_the_books_of_ten_thousand_calls_balance(site: Site) -> None:
    """Each call ends once; what the host counted is what its clients saw; nothing waits and nothing is left."""
    specs = [PoolSpec(name=name, size=2, concurrency=4, queue_limit=200, cancel_grace_s=0.5) for name in POOLS]
    settings = site.settings(*specs)
    clients = [KernelBackend(settings, label=f"client {number}") for number in range(CLIENTS)]
    ends: Counter[str] = Counter()
    schedule = random.Random(SEED)
    numbers = iter(range(CALLS))

    async def work(backend: KernelBackend) -> None:
        for number in numbers:
            call, cancel_after_s = draw_call(schedule, number)
            ends[await make_call(backend, call, cancel_after_s)] += 1

    try:
        for one in clients:  # a call that ends before there is a connection is in no host's books
            await one.open()
        async with asyncio.timeout(150):
            await asyncio.gather(*(work(one) for one in clients for _ in range(IN_FLIGHT)))
            while (status := await clients[0].request("status"))["in_flight"]:  # noqa: ASYNC110 - told early
                await asyncio.sleep(0.02)
        print(f"seed {SEED}: {dict(ends)}")  # noqa: T201 - what a failure is looked into with
        assert sum(ends.values()) == CALLS
        expected = {"ok", "Cancelled", "DeadlineExceeded", "PythonError", "WorkerLost"}
        assert set(ends) == expected, ends
        counters = sum((Counter(status["pools"][name]["counters"]) for name in POOLS), Counter[str]())
        assert counters["submitted"] == CALLS
        assert counters["succeeded"] == ends["ok"]
        assert counters["cancelled"] == ends["Cancelled"]
        assert counters["failed"] == CALLS - ends["ok"] - ends["Cancelled"]
        assert all(status["pools"][name]["queued"] == 0 for name in POOLS)
        assert sum(one.statistics().calls for one in clients) == CALLS
        assert all(one.statistics().in_flight == 0 for one in clients)
        assert all(client["in_flight"] == 0 for client in status["clients"])
        assert segments(status["host_id"]) == []
    finally:
        for one in clients:
            await one.aclose()


def segments(host_id: str) -> list[Path]:
    return list(Path("/dev/shm").glob(f"dspex-{host_id}*"))
