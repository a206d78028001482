"""Whatever a worker started ends with it, and with its host, also where it tried to get away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.testing.site import Site, echo, end_of, python_call, until

Connect = Callable[[Settings], KernelBackend]

#: A daemon as they are made: two forks, a session of its own, nothing in its environment.
DAEMON = """
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(120)
"""


def start_daemon(mark: str, environment: dict[str, str] | None = None) -> int:
    """Leave a daemon behind; the worker's own pid."""
    subprocess.run([sys.executable, "-S", "-c", DAEMON, mark], check=True, timeout=30, env=environment)
    while not Path(mark).exists() or not Path(mark).read_text():
        time.sleep(0.01)
    return os.getpid()


def leave_and_nap(mark: str) -> None:
    """Leave a daemon behind that bears no mark, which the host ends when it next looks."""
    subprocess.run([sys.executable, "-S", "-c", DAEMON, mark], check=True, timeout=30, env={})
    Path(f"{mark}.left").touch()
    time.sleep(60)


def daemon_of(mark: Path) -> psutil.Process:
    return psutil.Process(int(mark.read_text()))


def living_daemon_of(mark: Path) -> list[psutil.Process]:
    """The daemon, unless it is gone already, or has not said who it is."""
    try:
        return [daemon_of(mark)]
    except (OSError, ValueError, psutil.NoSuchProcess):
        return []


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_a_killed_workers_daemon_ends_and_another_workers_stays(
    site: Site, connect: Connect, tmp_path: Path
) -> None:
    """The host takes what is orphaned, and knows by its mark whose it was."""
    backend = connect(site.settings(PoolSpec(name="one", size=1), PoolSpec(name="two", size=1)))
    left, kept = tmp_path / "left", tmp_path / "kept"
    worker = await end_of(backend.submit(python_call(start_daemon, str(left), pool="one")))
    await end_of(backend.submit(python_call(start_daemon, str(kept), pool="two")))
    daemon, other = daemon_of(left), daemon_of(kept)
    os.kill(worker, signal.SIGKILL)
    await until(lambda: is_gone(daemon), limit_s=2)
    assert other.is_running()
    assert await end_of(backend.submit(echo(1, pool="one"))) == 1


async def test_a_killed_host_takes_daemons_along(site: Site, connect: Connect, tmp_path: Path) -> None:
    """Under load, within two seconds, workers and their hidden daemons are gone."""
    backend = connect(site.settings(PoolSpec(name="general", size=3)))
    marks = [tmp_path / str(number) for number in range(3)]
    pending = [backend.submit(python_call(leave_and_nap, str(mark))) for mark in marks]
    await until(lambda: all(mark.with_name(f"{mark.name}.left").exists() for mark in marks))
    left = [*site.processes(), *(one for mark in marks for one in living_daemon_of(mark))]
    os.kill(site.host_pid(), signal.SIGKILL)
    await until(lambda: all(map(is_gone, left)), limit_s=2)
    assert {await end_of(one) for one in pending} == {"HostUnavailable"}


async def test_what_outlives_host_and_warden_is_cleared_by_the_next(
    site: Site, connect: Connect, tmp_path: Path
) -> None:
    """A daemon that nobody could end is ended by the next host; one of another host of the same user goes on."""
    neighbour = Site()
    try:
        ours, theirs = tmp_path / "ours", tmp_path / "theirs"
        for where, mark in ((site, ours), (neighbour, theirs)):
            backend = connect(where.settings())
            await end_of(backend.submit(python_call(start_daemon, str(mark))))
        daemon, other = daemon_of(ours), daemon_of(theirs)
        host = psutil.Process(site.host_pid())
        warden = host.parent()
        assert warden is not None
        warden.kill()  # the host ends with it, and nobody is left to look after the rest
        await until(lambda: is_gone(host), limit_s=2)
        assert not is_gone(daemon)
        assert await end_of(connect(site.settings()).submit(echo(2))) == 2
        await until(lambda: is_gone(daemon), limit_s=2)
        assert not is_gone(other)
    finally:
        neighbour.end()


@pytest.mark.parametrize(
    "phase",
    ["*/zygote.log", "*/zygote.sock", "*/general-1", "*/general-1/kernel.json", "*/general-1.log", "*/general-1/k-*"],
)
async def test_a_host_killed_at_any_phase_of_a_start_leaves_nothing(site: Site, phase: str) -> None:
    """From the zygote's import to the worker's sockets: what was begun ends with it, and the next host serves."""
    backend = KernelBackend(site.settings(PoolSpec(name="general", size=2, min_ready=2)))
    try:
        await backend.open()
        host = psutil.Process(site.host_pid())
        pending = backend.submit(echo(1))
        await until(lambda: any(site.folder.glob(phase)))
        begun = [host, *host.children(recursive=True)]
        host.kill()
        assert await end_of(pending) in ("HostUnavailable", 1)
        await until(lambda: all(map(is_gone, begun)) and not site.processes(), limit_s=2)
        assert await end_of(backend.submit(echo(2))) == 2
    finally:
        await backend.aclose()


def nest_and_end(depth: int) -> None:
    """A worker's last deed: folders deeper than the longest path, and than Python's stack."""
    for _ in range(depth):
        Path("d").mkdir()
        os.chdir("d")
    os._exit(3)


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
async def test_folders_without_end_keep_nobody_from_starting(site: Site, connect: Connect, is_killed: bool) -> None:
    """The call is told of its worker's end at once, the pool serves on, and so does the next host."""
    settings = site.settings()
    backend = connect(settings)
    assert await end_of(backend.submit(echo(0)), limit_s=90) == 0
    assert await end_of(backend.submit(python_call(nest_and_end, 1500))) == "WorkerLost"
    assert await end_of(backend.submit(echo(1))) == 1
    host = psutil.Process(site.host_pid())
    if is_killed:
        host.kill()
    else:
        await backend.request("stop")
    await until(lambda: is_gone(host) and not backend.is_connected())
    assert await end_of(backend.submit(echo(2)), limit_s=90) == 2
    assert len([path for path in site.folder.iterdir() if path.is_dir()]) == 1
