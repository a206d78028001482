"""Whoever dies with a large value under way: nothing of it stays in shared memory."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.testing.site import Site, echo, end_of, python_call, until
from dspex_lab.wire.segments import SHARED_MEMORY

Connect = Callable[[Settings], KernelBackend]

POOLS = (
    PoolSpec(name="general", size=1, min_ready=1),
    PoolSpec(name="pair", size=2),
    PoolSpec(name="sandbox", size=1, sandbox="on"),
)
LARGE = np.arange(2**20)

#: A notebook of another process, with large arguments of a call that runs and of calls that wait.
CLIENT = """
import asyncio, sys, time
import numpy as np
from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.calls import Call, Code
from dspex_lab.settings import Settings

def nap(mark, array):
    open(mark, "w").close()
    time.sleep(30)

async def main():
    backend = KernelBackend(Settings.create(runtime_dir=sys.argv[1]))
    await backend.open()
    for number in range(3):
        args = {"function": Code(nap), "args": [sys.argv[2], np.zeros(2**20)]}
        pending = backend.submit(Call("python.call", args, idempotent=number == 0))
    await pending.result()

asyncio.run(main())
"""


def nap(mark: str, seconds: float, array: Any) -> float:
    """The sum, so that a call that ran again shows that it had its argument again."""
    with Path(mark).open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(seconds)
    return float(array.sum())


def pids(mark: Path) -> list[int]:
    return [int(line) for line in mark.read_text().split()] if mark.exists() else []


def segments() -> list[str]:
    return [path.name for path in SHARED_MEMORY.iterdir() if path.name.startswith("dspex-")]


@pytest.fixture
def settings(shared_site: Site) -> Settings:
    return shared_site.settings(*POOLS)


async def test_a_killed_worker_leaves_nothing(settings: Settings, connect: Connect, tmp_path: Path) -> None:
    """Neither the argument that it had, nor those of the calls that waited for it."""
    backend, mark = connect(settings), tmp_path / "mark"
    running = backend.submit(python_call(nap, str(mark), 30.0, LARGE))
    waiting = backend.submit(echo(LARGE))
    await until(lambda: bool(pids(mark)))
    os.kill(pids(mark)[0], signal.SIGKILL)
    assert await end_of(running) == "WorkerLost"
    assert np.array_equal(await end_of(waiting), LARGE)
    assert segments() == []


async def test_a_call_that_runs_again_has_its_argument_again(
    settings: Settings, connect: Connect, tmp_path: Path
) -> None:
    """A large argument stays until an idempotent call has ended, and no longer."""
    backend, mark = connect(settings), tmp_path / "mark"
    pending = backend.submit(python_call(nap, str(mark), 0.5, LARGE, idempotent=True, pool="pair"))
    await until(lambda: len(pids(mark)) == 1)
    os.kill(pids(mark)[0], signal.SIGKILL)
    assert await end_of(pending) == LARGE.sum()
    assert segments() == []


def start_client(site: Site, mark: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CLIENT, str(site.folder), str(mark)])


async def test_a_killed_client_leaves_nothing(
    settings: Settings, connect: Connect, shared_site: Site, tmp_path: Path
) -> None:
    """The host removes what the client's calls had in shared memory, running and waiting."""
    await end_of(connect(settings).submit(echo()))
    process = start_client(shared_site, tmp_path / "mark")
    try:
        await until((tmp_path / "mark").exists)
        assert segments() != []
    finally:
        process.kill()
        await asyncio.to_thread(process.wait, 10)
    await until(lambda: segments() == [], limit_s=5)


async def test_a_sandbox_gets_frames(settings: Settings, connect: Connect) -> None:
    """A large value reaches a worker that sees no shared memory, and comes back, and nothing of it is left."""
    backend, value = connect(settings), LARGE.tobytes()
    for is_idempotent in (False, True):
        assert await end_of(backend.submit(echo(value, pool="sandbox", idempotent=is_idempotent))) == value
    assert segments() == []


async def test_a_killed_host_leaves_nothing(site: Site, connect: Connect, tmp_path: Path) -> None:
    """Its clients remove what was under way."""
    backend, mark = connect(site.settings(*POOLS)), tmp_path / "mark"
    pending = backend.submit(python_call(nap, str(mark), 30.0, LARGE, idempotent=True))
    await until(lambda: bool(pids(mark)))
    os.kill(site.host_pid(), signal.SIGKILL)
    assert await end_of(pending) == "HostUnavailable"
    await until(lambda: segments() == [], limit_s=5)


async def test_the_next_host_removes_what_nobody_could(site: Site, connect: Connect, tmp_path: Path) -> None:
    """Client and host are killed at once: what they left is gone when another host comes."""
    await end_of(connect(site.settings(*POOLS)).submit(echo()))
    process = start_client(site, tmp_path / "mark")
    await until((tmp_path / "mark").exists)
    host = psutil.Process(site.host_pid())
    left = SHARED_MEMORY / f"dspex-{next(iter(segments())).split('-')[1][:8]}.general-9.{'0' * 16}"
    for one in (host, process):
        one.kill()
    await asyncio.to_thread(process.wait, 10)
    await until(lambda: not host.is_running())
    left.touch()  # as if no client had been there to look
    assert await end_of(connect(site.settings(*POOLS)).submit(echo(1))) == 1
    assert segments() == []
