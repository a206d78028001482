"""Hosts and clients that are killed, start together, or have nothing left to do."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.pool.processes.rendezvous import find_host
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.testing.site import Site, echo, end_of, python_call, until

Connect = Callable[[Settings], KernelBackend]

#: A notebook of another process: says its host's pid, then does what it is told.
CLIENT = """
import asyncio, sys, time
from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.calls import Call, Code
from dspex_lab.settings import PoolSpec, Settings

def nap(mark):
    open(mark, "w").close()
    time.sleep(30)

async def main():
    backend = KernelBackend(Settings.create(runtime_dir=sys.argv[1], pools=(PoolSpec(name="general", size=1),)))
    await backend.open()
    print((await backend.request("status"))["pid"], flush=True)
    if len(sys.argv) > 2:
        pending = backend.submit(Call("python.call", {"function": Code(nap), "args": [sys.argv[2]]}))
        await pending.result()
    await backend.aclose()

asyncio.run(main())
"""


def client(site: Site, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(CLIENT), str(site.folder), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def nap(mark: str, seconds: float) -> int:
    Path(mark).touch()
    time.sleep(seconds)
    return os.getpid()


async def test_a_killed_host_takes_its_workers_along_and_another_comes(
    site: Site, connect: Connect, tmp_path: Path
) -> None:
    """Calls under way are HostUnavailable, nothing of the old host lives on, and the next call finds a new one."""
    local = PoolSpec(name="local", size=1, python=sys.executable)
    backend = connect(site.settings(PoolSpec(name="general", size=2, min_ready=2), local))
    pending = backend.submit(python_call(nap, str(tmp_path / "mark"), 30.0))
    assert await end_of(backend.submit(echo(1, pool="local"))) == 1
    await until((tmp_path / "mark").exists)
    old = site.processes()
    host_id = json.loads((site.folder / "host.json").read_text())["host_id"]
    os.kill(site.host_pid(), signal.SIGKILL)
    assert await end_of(pending) == "HostUnavailable"
    await until(lambda: not any(one.is_running() and one.status() != "zombie" for one in old), limit_s=3)
    assert await end_of(backend.submit(echo(2))) == 2
    assert not (site.folder / host_id).exists()
    assert backend.statistics().in_flight == 0


async def test_a_killed_client_leaves_its_host_in_peace(site: Site, connect: Connect, tmp_path: Path) -> None:
    """What it waited for is stopped, and the worker serves others."""
    mark = tmp_path / "mark"
    backend = connect(site.settings(PoolSpec(name="general", size=1)))
    await backend.open()
    other = client(site, str(mark))
    await until(mark.exists)
    other.kill()
    other.communicate(timeout=30)
    assert await end_of(backend.submit(echo(3)), limit_s=3) == 3
    status = await backend.request("status")
    assert (len(status["clients"]), status["in_flight"]) == (1, 0)


async def test_ten_clients_at_once_share_one_host(site: Site) -> None:
    """However they meet, there is one host, and each is served by it."""
    clients = [client(site) for _ in range(10)]
    outputs = await asyncio.gather(*(asyncio.to_thread(one.communicate, timeout=60) for one in clients))
    assert {stdout.strip() for stdout, _ in outputs} == {str(site.host_pid())}, outputs


async def test_a_host_that_is_not_needed_leaves_nothing_behind(site: Site, connect: Connect) -> None:
    """After idle_exit_s without a client it is gone, with its workers, its folder and its connection file; its log and
    its traces stay."""
    backend = connect(site.settings(idle_exit_s=0.3))
    await end_of(backend.submit(echo()))
    await backend.aclose()
    await until(lambda: not site.processes(), limit_s=5)
    assert find_host(site.folder) is None
    assert sorted(path.name for path in site.folder.iterdir()) == ["host.lock", "host.log", "traces.sqlite"]


async def test_a_client_comes_while_the_host_leaves(site: Site, connect: Connect) -> None:
    """Whoever calls at that moment gets another host and not an error."""
    settings = site.settings()
    first = connect(settings)
    old = (await first.request("status"))["host_id"]
    await first.request("stop")
    await first.aclose()
    second = connect(settings)
    assert (await second.request("status"))["host_id"] != old


async def test_a_client_of_a_host_that_another_stops_asks_the_next_one(site: Site, connect: Connect) -> None:
    """What it asks at that moment is answered, by the old host or by a new one."""
    settings = site.settings()
    first, second = connect(settings), connect(settings)
    old = (await second.request("status"))["pid"]
    await asyncio.gather(first.request("stop"), *(second.request("status") for _ in range(20)))
    await until(lambda: not psutil.pid_exists(old))
    assert (await second.request("status"))["pid"] != old


async def test_a_host_without_descriptors_goes_on(site: Site, connect: Connect, tmp_path: Path) -> None:
    """Workers that it cannot start fail their calls or come later; when there are descriptors again all is well."""
    backend = connect(site.settings(PoolSpec(name="general", size=4, min_ready=1)))
    assert await end_of(backend.submit(echo(0)), limit_s=90) == 0
    host = psutil.Process(site.host_pid())
    limit = host.rlimit(psutil.RLIMIT_NOFILE)
    assert limit[0] == limit[1], "the host takes all that it may have"
    host.rlimit(psutil.RLIMIT_NOFILE, (host.num_fds() + 2, limit[1]))
    pending = [backend.submit(python_call(nap, str(tmp_path / str(number)), 0.5)) for number in range(4)]
    await until(lambda: "could not be started" in (site.folder / "host.log").read_text())
    host.rlimit(psutil.RLIMIT_NOFILE, limit)
    ends = [await end_of(one) for one in pending]
    assert all(isinstance(end, int) or end == "WorkerLost" for end in ends)
    assert await end_of(backend.submit(echo(1))) == 1
    assert site.host_pid() == host.pid
