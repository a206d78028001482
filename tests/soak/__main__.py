"""``python -m tests.soak [--minutes 5]``: a pool under mixed load; memory and descriptors must stay flat.

Prints a line every few seconds and exits with 1 when the host, a worker or this process grew. Not part of the tests:
what it looks for takes minutes to show.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import cloudpickle
import numpy as np
import psutil

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.calls import Call, Code
from dspex_lab.errors import LabError
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.site import Site, echo

MB = 2**20
IN_FLIGHT = 16
SAMPLE_S = 2.0
#: What a process may grow from the second quarter of the soak to its end: memory in MB, and open descriptors.
MOST_MB = 12.0
MOST_DESCRIPTORS = 8


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one process."""

    rss_mb: float
    descriptors: int


def double(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return values * 2


def words(number: int) -> Iterator[str]:
    for one in range(number):
        yield f"word {one} "


def fail() -> None:
    raise ValueError("as asked")


async def nap(seconds: float) -> None:
    await asyncio.sleep(seconds)


def draw_call(draw: random.Random) -> Call:
    kind = draw.random()
    if kind < 0.6:
        return echo({"text": "x" * draw.randrange(2000)}, timeout_s=30.0)
    function, args = draw.choice(
        [(double, [np.ones(draw.choice((10, 300_000)))]), (words, [50]), (fail, []), (nap, [0.01])]
    )
    return Call(
        "python.call",
        {"function": Code(function), "args": args},
        timeout_s=draw.choice((30.0, 0.005)),
        stream=function is words,
    )


async def load(backend: KernelBackend, draw: random.Random, until: float) -> int:
    """Calls one after another until the time is over, some of them cancelled; how many."""
    count = 0
    while time.monotonic() < until:
        pending = backend.submit(draw_call(draw))
        if draw.random() < 0.05:
            pending.cancel()
        try:
            async for _ in pending:
                pass
            await pending.result()
        except LabError:
            pass  # deadlines, cancels and errors are part of the load
        count += 1
    return count


def look(pid: int) -> Sample:
    process = psutil.Process(pid)
    return Sample(process.memory_info().rss / MB, process.num_fds())


async def watch(backend: KernelBackend, until: float) -> dict[str, list[Sample]]:
    """Samples by process: this one, the host, and each worker."""
    found: dict[str, list[Sample]] = {}
    while time.monotonic() < until:
        status = await backend.request("status")
        pids = {"client": psutil.Process().pid, "host": status["pid"]}
        pids |= {one["id"]: one["pid"] for one in status["pools"]["general"]["workers"] if one["pid"]}
        for name, pid in pids.items():
            found.setdefault(name, []).append(look(pid))
        shown = ", ".join(f"{name} {one[-1].rss_mb:.0f} MB {one[-1].descriptors} fds" for name, one in found.items())
        sys.stdout.write(f"{until - time.monotonic():5.0f} s left: {shown}\n")
        await asyncio.sleep(SAMPLE_S)
    return found


def growth(samples: list[Sample]) -> Sample:
    """How much more the last quarter has than the second: the first one is warming up."""
    quarter = max(1, len(samples) // 4)
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    return Sample(
        statistics.median(one.rss_mb for one in late) - statistics.median(one.rss_mb for one in early),
        int(statistics.median(one.descriptors for one in late) - statistics.median(one.descriptors for one in early)),
    )


async def soak(minutes: float) -> bool:
    """Whether everything stayed flat."""
    site = Site()
    backend = KernelBackend(site.settings(PoolSpec(name="general", size=2, min_ready=2, concurrency=4)))
    try:
        await backend.open()
        until = time.monotonic() + minutes * 60
        draws = [random.Random(number) for number in range(IN_FLIGHT)]
        loads = [asyncio.create_task(load(backend, draw, until)) for draw in draws]
        samples = await watch(backend, until)
        calls = sum([await one for one in loads])
    finally:
        await backend.aclose()
        site.end()
    sys.stdout.write(f"{calls} calls\n")
    is_flat = True
    for name, of_one in samples.items():
        grown = growth(of_one)
        is_ok = grown.rss_mb <= MOST_MB and grown.descriptors <= MOST_DESCRIPTORS
        is_flat &= is_ok
        sys.stdout.write(
            f"{name:12} {grown.rss_mb:+.1f} MB, {grown.descriptors:+d} descriptors: {'flat' if is_ok else 'GREW'}\n"
        )
    return is_flat


def main() -> None:
    """Run the soak; the exit status says whether it was flat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    sys.exit(0 if asyncio.run(soak(parser.parse_args().minutes)) else 1)


if __name__ == "__main__":
    main()
