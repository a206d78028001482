"""Processes that are stopped and go on: a laptop that slept, a debugger, a machine that had no time."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.testing.site import Site, echo, end_of, python_call, until

Connect = Callable[[Settings], KernelBackend]

STOP_S = 5.0


def own_pid() -> int:
    return os.getpid()


def nap(mark: str, seconds: float) -> int:
    Path(mark).touch()
    time.sleep(seconds)
    return os.getpid()


def count_slowly(number: int) -> list[int]:
    for _ in range(number):
        time.sleep(0.01)
    return list(range(number))


async def stop_for(pid: int, seconds: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)  # the stop itself is what is tested: no event ends it
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_host_that_was_stopped_goes_on_as_if_nothing_were(site: Site, connect: Connect, tmp_path: Path) -> None:
    """Calls wait and are answered; no worker is taken for dead because the host itself heard nothing."""
    backend = connect(site.settings(PoolSpec(name="general", size=2, min_ready=2), worker_silence_s=2.0))
    worker = await end_of(backend.submit(python_call(own_pid)))
    running = backend.submit(python_call(nap, str(tmp_path / "mark"), 1.0))
    await until((tmp_path / "mark").exists)
    stopping = asyncio.create_task(stop_for(site.host_pid(), STOP_S))
    await asyncio.sleep(0)
    sent = [backend.submit(echo(number, timeout_s=30.0)) for number in range(50)]
    await stopping
    assert await end_of(running) in {worker, *[one["pid"] for one in await workers(backend)]}
    assert [await end_of(one) for one in sent] == list(range(50))
    counters = (await backend.request("status"))["pools"]["general"]["counters"]
    assert (counters["lost_workers"], counters["failed"]) == (0, 0)


async def test_time_that_ran_out_while_the_host_was_stopped_has_run_out(site: Site, connect: Connect) -> None:
    """A deadline is the caller's: it hears of it in time, with no host to tell it."""
    backend = connect(site.settings())
    await end_of(backend.submit(echo()))
    stopping = asyncio.create_task(stop_for(site.host_pid(), STOP_S))
    await asyncio.sleep(0)
    began = time.monotonic()
    assert await end_of(backend.submit(echo(1, timeout_s=1.0))) == "DeadlineExceeded"
    assert time.monotonic() - began < STOP_S
    await stopping
    assert await end_of(backend.submit(echo(2))) == 2


async def test_a_worker_that_was_stopped_for_a_moment_goes_on(site: Site, connect: Connect) -> None:
    """Shorter than the silence that a pool bears, it costs time and nothing else."""
    backend = connect(site.settings(worker_silence_s=30.0))
    pid = await end_of(backend.submit(python_call(own_pid)))
    running = backend.submit(python_call(count_slowly, 100))
    await stop_for(pid, STOP_S)
    assert await end_of(running) == list(range(100))
    assert await end_of(backend.submit(python_call(own_pid))) == pid


async def test_a_worker_that_stays_stopped_is_replaced(site: Site, connect: Connect, tmp_path: Path) -> None:
    """Its call ends as WorkerLost and says why, an idempotent one runs again, and its process is gone."""
    backend = connect(site.settings(PoolSpec(name="general", size=2, min_ready=2), worker_silence_s=2.0))
    pids = {one["pid"] for one in await ready(backend, 2)}
    first, again = tmp_path / "first", tmp_path / "again"
    lost = backend.submit(python_call(nap, str(first), 3.0))
    retried = backend.submit(python_call(nap, str(again), 3.0, idempotent=True))
    await until(lambda: first.exists() and again.exists())
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    assert await end_of(lost, limit_s=10) == "WorkerLost"
    assert await end_of(retried, limit_s=20) not in pids
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


async def workers(backend: KernelBackend) -> list[dict[str, int]]:
    found: list[dict[str, int]] = (await backend.request("status"))["pools"]["general"]["workers"]
    return found


async def ready(backend: KernelBackend, count: int) -> list[dict[str, int]]:
    """So many workers that said hello."""
    await end_of(backend.submit(echo()))
    async with asyncio.timeout(30):
        while sum(one["pid"] is not None for one in await workers(backend)) < count:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)
    return await workers(backend)


def compute_with_the_lock_held(count: int) -> int:
    return sum(range(count))


@pytest.mark.timeout(240)
async def test_a_worker_that_only_computes_is_not_silent(site: Site, connect: Connect) -> None:
    """Python's lock is held for longer than the silence that a pool bears: no heartbeat comes, and the value does."""
    backend = connect(site.settings(worker_silence_s=2.0, heartbeat_s=0.2))
    await end_of(backend.submit(echo()), limit_s=100)
    count = 120_000_000
    pending = backend.submit(python_call(compute_with_the_lock_held, count))
    assert await end_of(pending, limit_s=100) == count * (count - 1) // 2
