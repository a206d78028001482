"""Workers that are killed, hang, or never start: calls end once, and the pool serves again."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.testing.site import Site, echo, end_of, python_call, until

Connect = Callable[[Settings], KernelBackend]

POOLS = (
    PoolSpec(name="general", size=1, min_ready=1),
    PoolSpec(name="pair", size=2),
    PoolSpec(name="tight", size=1, max_memory_mb=400),
    PoolSpec(name="broken", size=1, python="/bin/false"),
)


def own_pid() -> int:
    return os.getpid()


def nap(mark: str, seconds: float) -> int:
    """The pid of who slept; the mark is there as soon as the call runs, one line for each time."""
    with Path(mark).open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(seconds)
    return os.getpid()


def compute_in_c(mark: str) -> None:
    """Minutes in one C function, which no signal ends: sleeping would not do, a signal wakes it."""
    Path(mark).write_text(str(os.getpid()))
    hashlib.pbkdf2_hmac("sha256", b"", b"", 1_000_000_000)


def hold(megabytes: int, mark: str) -> None:
    data = bytearray(megabytes * 1024 * 1024)
    data[::4096] = b"x" * len(data[::4096])
    Path(mark).touch()
    time.sleep(30)


async def block_the_loop(mark: str) -> None:
    nap(mark, 30)


def pids(mark: Path) -> list[int]:
    return [int(line) for line in mark.read_text().split()] if mark.exists() else []


@pytest.fixture
def settings(shared_site: Site) -> Settings:
    return shared_site.settings(*POOLS)


async def test_a_killed_worker_fails_its_call_once_and_is_replaced(
    settings: Settings, connect: Connect, tmp_path: Path
) -> None:
    """The call is WorkerLost, and the pool serves again within about a second."""
    backend = connect(settings)
    await end_of(backend.submit(echo()))
    lost = backend.submit(python_call(nap, str(tmp_path / "mark"), 30.0))
    await until(lambda: bool(pids(tmp_path / "mark")))
    os.kill(pids(tmp_path / "mark")[0], signal.SIGKILL)
    assert await end_of(lost) == "WorkerLost"
    started = time.monotonic()
    assert await end_of(backend.submit(python_call(own_pid))) not in pids(tmp_path / "mark")
    assert time.monotonic() - started < 3


async def test_an_idempotent_call_runs_again(settings: Settings, connect: Connect, tmp_path: Path) -> None:
    """It runs on another worker, and its caller sees nothing but the result."""
    backend, mark = connect(settings), tmp_path / "mark"
    pending = backend.submit(python_call(nap, str(mark), 0.5, idempotent=True, pool="pair"))
    await until(lambda: len(pids(mark)) == 1)
    os.kill(pids(mark)[0], signal.SIGKILL)
    assert await end_of(pending) == pids(mark)[1]


async def test_a_call_in_c_is_cancelled_with_its_worker(settings: Settings, connect: Connect, tmp_path: Path) -> None:
    """A call that no signal reaches is Cancelled within about a second, and its worker replaced."""
    backend, mark = connect(settings), tmp_path / "mark"
    pending = backend.submit(python_call(compute_in_c, str(mark)))
    await until(mark.exists)
    started = time.monotonic()
    pending.cancel()
    assert await end_of(pending) == "Cancelled"
    assert time.monotonic() - started < 2.5
    assert await end_of(backend.submit(python_call(own_pid))) != int(mark.read_text())


async def test_a_coroutine_that_blocks_is_cancelled_with_its_worker(
    settings: Settings, connect: Connect, tmp_path: Path
) -> None:
    """Asynchronous code that never yields does not hold up the calls after it."""
    backend, mark = connect(settings), tmp_path / "mark"
    pending = backend.submit(python_call(block_the_loop, str(mark)))
    await until(mark.exists)
    pending.cancel()
    assert await end_of(pending, limit_s=3) == "Cancelled"
    assert await end_of(backend.submit(python_call(own_pid)), limit_s=5) not in pids(mark)


async def test_an_interrupted_worker_serves_the_next_call(settings: Settings, connect: Connect, tmp_path: Path) -> None:
    """Python code that was interrupted costs no worker."""
    backend, mark = connect(settings), tmp_path / "mark"
    for _ in range(5):
        mark.unlink(missing_ok=True)
        pending = backend.submit(python_call(nap, str(mark), 30.0))
        await until(lambda: bool(pids(mark)))
        pending.cancel()
        assert await end_of(pending) == "Cancelled"
        assert await end_of(backend.submit(python_call(own_pid))) == pids(mark)[0]


async def test_a_worker_over_its_memory_is_ended(settings: Settings, connect: Connect, tmp_path: Path) -> None:
    """Its call is WorkerMemoryExceeded, and the pool serves the next."""
    backend, mark = connect(settings), tmp_path / "mark"
    pending = backend.submit(python_call(hold, 500, str(mark), pool="tight"))
    assert await end_of(pending) == "WorkerMemoryExceeded"
    assert await end_of(backend.submit(echo(2, pool="tight"))) == 2


async def test_a_pool_that_cannot_start_says_why_and_holds_up_nobody(settings: Settings, connect: Connect) -> None:
    """Its calls fail with the reason, while another pool serves."""
    backend = connect(settings)
    pending = backend.submit(echo(pool="broken"))
    assert await end_of(backend.submit(echo(5))) == 5
    assert await end_of(pending) == "WorkerLost"
    status: dict[str, Any] = await backend.request("status")
    assert status["pools"]["broken"]["trouble"]


async def test_a_killed_zygote_is_replaced(settings: Settings, connect: Connect, shared_site: Site) -> None:
    """Its workers go with it, and the pool serves again."""
    backend = connect(settings)
    await end_of(backend.submit(echo()))
    (zygote,) = [one for one in shared_site.processes() if one.ppid() == shared_site.host_pid()]
    zygote.kill()
    await until(lambda: not zygote.is_running())
    assert await end_of(backend.submit(echo(7, idempotent=True))) == 7


def loaded(name: str) -> bool:
    return name in sys.modules


async def test_workers_start_with_what_the_settings_name(connect: Connect, site: Site) -> None:
    """Each module is imported once for all of them; one that cannot be is named in the log, and stops nobody."""
    backend = connect(site.settings(preload=("colorsys", "no_such_module_here")))
    assert (await backend.submit(python_call(loaded, "colorsys")).result()).value is True
    assert (await backend.submit(python_call(loaded, "dspy")).result()).value is False
    logs = await backend.request("logs")
    (words,) = [text for path, text in logs.items() if path.endswith("zygote.log")]
    assert "not preloaded: no_such_module_here (ModuleNotFoundError" in words
