"""Hundreds of plain calls, every third of them cancelled at a random moment: a cancel hits whom it is for, and nobody
else, however many calls a worker has at a time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.testing.site import Site, end_of, python_call

SEED = 2026
WAVES = 20
AT_A_TIME = 15


def compute(count: int) -> int:
    return sum(1 for _ in range(count))


def count(number: int) -> Iterator[str | int]:
    """It waits for another thread with each text."""
    for _ in range(number // 100):
        yield "x"
    yield number


async def call(backend: KernelBackend, number: int, cancel_after_s: float | None) -> tuple[str, str]:
    """Whether the call was cancelled, and how it ended."""
    if number % 2:
        pending = backend.submit(python_call(compute, 3000, pool="many"))
    else:
        pending = backend.submit(python_call(count, 3000, pool="many", stream=True))
    if cancel_after_s is None:
        return "left alone", str(await end_of(pending))
    handle = asyncio.get_running_loop().call_later(cancel_after_s, pending.cancel)
    try:
        return "cancelled", str(await end_of(pending))
    finally:
        handle.cancel()


@pytest.mark.parametrize("concurrency", [1, 16])
@pytest.mark.timeout(120)
async def test_a_cancel_hits_nobody_else(
    site: Site, connect: Callable[[Settings], KernelBackend], concurrency: int
) -> None:
    """No call that nobody cancelled ends as Cancelled or WorkerLost, and the same worker serves to the end."""
    # Nothing needs to be ended by force: a slow machine gets more than a second for it.
    spec = PoolSpec(name="many", size=1, concurrency=concurrency, cancel_grace_s=20.0)
    backend = connect(site.settings(spec))
    draw, ends = random.Random(SEED), Counter[tuple[str, str]]()
    first = (await backend.submit(python_call(compute, 1, pool="many")).result()).worker
    for _ in range(WAVES):
        delays = [draw.uniform(0.0, 0.02) if number % 3 == 0 else None for number in range(AT_A_TIME)]
        ends.update(await asyncio.gather(*(call(backend, *one) for one in enumerate(delays))))
    print(f"seed {SEED}: {dict(ends)}")  # noqa: T201 - what a failure is looked into with
    assert {end for kind, end in ends if kind == "left alone"} == {"3000", "[3000]"}, ends
    assert {end for kind, end in ends if kind == "cancelled"} <= {"3000", "[3000]", "Cancelled"}, ends
    assert ends["cancelled", "Cancelled"] > 0, ends
    assert (await backend.submit(python_call(compute, 1, pool="many")).result()).worker == first
