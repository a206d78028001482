"""Two hundred busy workers killed under the load of four notebooks: every call ends once, and nothing is left."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.site import LIMIT_S, Site, echo, end_of, until

KILLS = 200
CALLS_BETWEEN = 4
NOTEBOOKS = 4
WORKERS = 4
SEED = 20

#: A notebook of its own: keeps six calls under way, half of them idempotent, until its standard input ends; then says
#: how each call ended, as counts of (idempotent, end), and whether one ended twice.
NOTEBOOK = """
import asyncio, collections, json, sys, time
import cloudpickle
from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.calls import Call, Code
from dspex_lab.errors import LabError
from dspex_lab.settings import Settings

def double(number):
    time.sleep(0.03)
    return 2 * number

async def main():
    backend = KernelBackend(Settings.create(runtime_dir=sys.argv[1], pools=()))
    await backend.open()
    ends, twice, stop = collections.Counter(), 0, asyncio.Event()

    async def caller(idempotent):
        nonlocal twice
        number = 0
        while not stop.is_set():
            number += 1
            args = {"function": Code(double), "args": [number]}
            pending, told = backend.submit(Call("python.call", args, idempotent=idempotent, timeout_s=40)), []
            pending.on_end(lambda: told.append(1))
            try:
                end = "ok" if (await pending.result()).value == 2 * number else "wrong"
            except LabError as error:
                end = type(error).__name__
            await asyncio.sleep(0)
            twice += len(told) != 1
            ends[f"{idempotent} {end}"] += 1

    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, sys.stdin.read).add_done_callback(lambda _: stop.set())
    print("ready", flush=True)
    await asyncio.gather(*(caller(number % 2 == 0) for number in range(6)))
    statistics = backend.statistics()
    await backend.aclose()
    print(json.dumps({"ends": ends, "twice": twice, "in_flight": statistics.in_flight, "calls": statistics.calls}))

asyncio.run(main())
"""


def notebook(site: Site) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", NOTEBOOK, str(site.folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def segments(host_id: str) -> list[Path]:
    return list(Path("/dev/shm").glob(f"dspex-{host_id}*"))


def open_descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def kill_busy_workers(backend: KernelBackend, count: int) -> None:
    """SIGKILL so many workers, each while it has a call, and a few calls after the last; which is drawn by a seed.

    Without calls that succeed in between, one that is idempotent would be killed as often as it is tried.
    """
    draw, killed, due = random.Random(SEED), set[int](), 0
    while len(killed) < count:
        pool = (await backend.request("status"))["pools"]["general"]
        busy = sorted(one["pid"] for one in pool["workers"] if one["in_flight"] and one["pid"] not in killed)
        if busy and pool["counters"]["succeeded"] >= due:
            pid = draw.choice(busy)
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
            due = pool["counters"]["succeeded"] + CALLS_BETWEEN
        await asyncio.sleep(0.002)


@pytest.mark.timeout(240)
async def test_two_hundred_kills_lose_and_leave_nothing(site: Site) -> None:
    """Idempotent calls all succeed, the others end as WorkerLost at worst, the pool is back at its size, the books of
    host and notebooks agree, and no process, descriptor, folder or segment is left of the dead."""
    backend = KernelBackend(site.settings(PoolSpec(name="general", size=WORKERS, min_ready=WORKERS, queue_limit=100)))
    notebooks: list[subprocess.Popen[str]] = []
    try:
        assert await end_of(backend.submit(echo(1))) == 1
        host = site.host_pid()
        notebooks += [notebook(site) for _ in range(NOTEBOOKS)]
        for one in notebooks:
            assert one.stdout is not None
            assert await asyncio.to_thread(one.stdout.readline) == "ready\n"
        descriptors = open_descriptors(host)
        async with asyncio.timeout(150):
            await kill_busy_workers(backend, KILLS)
        told = await asyncio.gather(*(asyncio.to_thread(one.communicate, timeout=LIMIT_S) for one in notebooks))
        reports: list[dict[str, Any]] = [json.loads(stdout) for stdout, _ in told]
        ends = sum((Counter(report["ends"]) for report in reports), Counter[str]())
        assert set(ends) <= {"True ok", "False ok", "False WorkerLost"}, ends
        assert 0 < ends["False WorkerLost"] <= KILLS
        assert all(report["twice"] == report["in_flight"] == 0 for report in reports)

        await until(lambda: len(worker_folders(site)) == WORKERS)
        assert await end_of(backend.submit(echo(2))) == 2
        status = await backend.request("status")
        pool = status["pools"]["general"]
        assert (status["in_flight"], pool["queued"], len(pool["workers"])) == (0, 0, WORKERS)
        counters = pool["counters"]
        assert counters["submitted"] == sum(ends.values()) + 2
        assert counters["succeeded"] == ends["True ok"] + ends["False ok"] + 2
        assert counters["failed"] == ends["False WorkerLost"]
        assert counters["lost_workers"] >= KILLS
        assert open_descriptors(host) <= descriptors + WORKERS
        living = {worker["pid"] for worker in pool["workers"]}
        assert {one.pid for one in site.processes() if one.ppid() not in (1, host)} - living <= {host}
        assert not segments(status["host_id"])
    finally:
        for one in notebooks:
            one.kill()
            one.communicate(timeout=LIMIT_S)
        await backend.aclose()


def worker_folders(site: Site) -> list[Path]:
    return [path for path in site.folder.glob("*/general-*") if path.is_dir()]
