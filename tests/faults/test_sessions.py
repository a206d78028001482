"""Sessions whose worker, notebook or host is killed: their calls end once, and their worker goes to nobody."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.errors import SessionLost
from dspex_lab.portal import Portal
from dspex_lab.sessions import Session
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.testing.site import Site, echo, end_of, python_call, until

Connect = Callable[[Settings], KernelBackend]

POOL = PoolSpec(name="general", size=2, max_memory_mb=400)

#: A notebook of another process that has a session, says its worker's pid, and waits.
NOTEBOOK = """
import os, sys, threading
from dspex_lab.lab import Lab
from dspex_lab.settings import PoolSpec, Settings

lab = Lab(Settings.create(runtime_dir=sys.argv[1], pools=(PoolSpec(name="general", size=2),)))
session = lab.session()
print(session.call(os.getpid), flush=True)
threading.Event().wait(60)
"""


def remember(state: dict[str, Any], value: str) -> int:
    state["value"] = value
    return os.getpid()


def recall(state: dict[str, Any]) -> str:
    return str(state["value"])


def nap(mark: str) -> None:
    Path(mark).touch()
    time.sleep(30)


def nap_on(mark: str) -> None:
    """Sleeps, and will not be woken."""
    Path(mark).touch()
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(30)


def hold(megabytes: int) -> None:
    data = bytearray(megabytes * 1024 * 1024)
    data[::4096] = b"x" * len(data[::4096])
    time.sleep(30)


async def opened(backend: KernelBackend) -> str:
    return str(await backend.request("session.open", pool="general", idle_expiry_s=600.0))


async def sessions_of(backend: KernelBackend) -> list[dict[str, Any]]:
    status = await backend.request("status")
    return list(status["pools"]["general"]["sessions"])


async def test_a_killed_worker_ends_its_session_and_no_other(
    shared_site: Site, connect: Connect, tmp_path: Path
) -> None:
    """What runs, what waits and what comes later is SessionLost, idempotent or not; the other session goes on."""
    backend = connect(shared_site.settings(POOL))
    lost, other = await opened(backend), await opened(backend)
    pid = await end_of(backend.submit(python_call(remember, "lost", session=lost)))
    await end_of(backend.submit(python_call(remember, "kept", session=other)))
    running = backend.submit(python_call(nap, str(tmp_path / "mark"), session=lost, idempotent=True))
    waiting = backend.submit(python_call(recall, session=lost, idempotent=True))
    await until((tmp_path / "mark").exists)
    os.kill(pid, signal.SIGKILL)
    assert [await end_of(running), await end_of(waiting)] == ["SessionLost", "SessionLost"]
    assert await end_of(backend.submit(python_call(recall, session=lost))) == "SessionLost"
    assert await end_of(backend.submit(python_call(recall, session=other))) == "kept"
    assert await end_of(backend.submit(echo(5))) == 5


async def test_a_call_that_will_not_stop_takes_its_session_along(
    shared_site: Site, connect: Connect, tmp_path: Path
) -> None:
    """The call is Cancelled within about a second, what waits behind it is SessionLost."""
    backend = connect(shared_site.settings(POOL))
    session = await opened(backend)
    running = backend.submit(python_call(nap_on, str(tmp_path / "mark"), session=session))
    waiting = backend.submit(python_call(recall, session=session))
    await until((tmp_path / "mark").exists)
    running.cancel()
    assert await end_of(running, limit_s=2.5) == "Cancelled"
    assert await end_of(waiting) == "SessionLost"


async def test_a_session_over_its_memory_is_lost(shared_site: Site, connect: Connect) -> None:
    """Its call is SessionLost, and the pool serves the next."""
    backend = connect(shared_site.settings(POOL))
    session = await opened(backend)
    assert await end_of(backend.submit(python_call(hold, 500, session=session))) == "SessionLost"
    assert await end_of(backend.submit(echo(2))) == 2


async def test_a_closed_session_s_worker_is_gone(shared_site: Site, connect: Connect) -> None:
    """Its process ends, whatever it does, and its place serves others."""
    backend = connect(shared_site.settings(POOL))
    session = await opened(backend)
    pid = await end_of(backend.submit(python_call(remember, "x", session=session)))
    running = backend.submit(python_call(nap_on, "/dev/null", session=session))
    await backend.request("session.close", session=session)
    assert await end_of(running, limit_s=2.5) == "SessionLost"
    await until(lambda: not psutil.pid_exists(pid))
    assert await end_of(backend.submit(echo(3))) == 3


async def test_another_notebook_cannot_use_it(shared_site: Site, connect: Connect) -> None:
    """Whoever knows its id is no owner: calls are SessionLost, and closing closes nothing."""
    owner, stranger = connect(shared_site.settings(POOL)), connect(shared_site.settings(POOL))
    session = await opened(owner)
    await end_of(owner.submit(python_call(remember, "mine", session=session)))
    assert await end_of(stranger.submit(python_call(recall, session=session))) == "SessionLost"
    await stranger.request("session.close", session=session)
    assert await end_of(owner.submit(python_call(recall, session=session))) == "mine"


async def test_a_killed_notebook_s_session_goes_with_it(site: Site, connect: Connect) -> None:
    """Its worker ends, and the host knows no session any more."""
    backend = connect(site.settings(POOL))
    await backend.open()
    notebook = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(NOTEBOOK), str(site.folder), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert notebook.stdout is not None
        pid = int(await asyncio.wait_for(notebook.stdout.readline(), 45))
        assert len(await sessions_of(backend)) == 1
    finally:
        notebook.kill()
        await notebook.communicate()
    await until(lambda: not psutil.pid_exists(pid))
    assert await sessions_of(backend) == []
    assert await end_of(backend.submit(echo(4))) == 4


def test_a_killed_host_ends_every_session(site: Site) -> None:
    """The next call is SessionLost, and so is every one after it, without another host being asked."""
    with Portal() as portal:
        backend = portal.call_soon(KernelBackend, site.settings(POOL))
        session = Session(backend, portal)
        session.call("os.getpid")
        os.kill(site.host_pid(), signal.SIGKILL)
        with pytest.raises(SessionLost):
            session.call("os.getpid")
        calls = backend.statistics().calls
        with pytest.raises(SessionLost):
            session.call("os.getpid")
        assert backend.statistics().calls == calls
        session.close()
        portal.run(backend.aclose)
