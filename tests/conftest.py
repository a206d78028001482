"""What holds for every test: nothing leaks, and nobody meets the user's own host.

Each test fails that leaves behind a child process, a thread of ours, an open ZMQ context or socket, or a file in
``/dev/shm``; fixtures of a wider scope are set up before the check's first look and so are not blamed. At the end
of the session no process that carries the session's mark is alive, whoever started it.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from zmq.utils import garbage

__all__ = ["ended_host", "lab_runtime_dir"]

#: How long what is ending may take to be gone, in seconds; waited only when something is left.
GRACE_S = 3.0
SHARED_MEMORY = Path("/dev/shm")
#: The names that Python's shared memory and ours take; a browser's files are its own business.
SHARED_MEMORY_PREFIXES = ("psm_", "dspex")

# A shell that starts the tests in the background has SIGINT ignored for them; those that interrupt would wait in vain.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is; a test that hangs has pytest's time limit.
hypothesis_settings.register_profile("dspex-lab", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("dspex-lab")

_contexts: weakref.WeakSet[zmq.Context[Any]] = weakref.WeakSet()
_make_context = zmq.Context.__init__


def _remember_context(self: zmq.Context[Any], *args: Any, **kwargs: Any) -> None:
    _make_context(self, *args, **kwargs)
    _contexts.add(self)


zmq.Context.__init__ = _remember_context  # type: ignore[method-assign]


# --- isolation ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def lab_runtime_dir() -> Iterator[Path]:
    """A private runtime folder for the session. Its path is short: an ``ipc`` address holds about 100 characters."""
    folder = Path(tempfile.mkdtemp(prefix="dxl-", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("DSPEX_LAB_")]:
            patch.delenv(name)
        patch.setenv("DSPEX_LAB_RUNTIME_DIR", str(folder / "lab"))
        patch.setenv("DSPEX_LAB_CACHE_DIR", str(folder / "cache"))
        patch.setenv("DSPEX_LAB_DATA_DIR", str(folder / "data"))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "jupyter"))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        yield folder
    survivors = _processes_marked_by(str(folder))
    names = [_describe(process) for process in survivors]
    _kill(survivors)
    shutil.rmtree(folder, ignore_errors=True)
    if names:
        pytest.fail("The tests left processes running (killed now):\n  " + "\n  ".join(names))


@pytest.fixture
def ended_host(lab_runtime_dir: Path) -> Iterator[None]:
    """For tests whose notebooks start a host: ends it, and all that came of it, when the test is over."""
    yield
    marked = _processes_marked_by(str(lab_runtime_dir))
    hosts = [one for one in marked if _describe(one).endswith("-m dspex_lab.pool")]
    wardens = [one for one in marked if "warden.py" in _describe(one)]  # each ends when its host has ended
    families = [process for host in hosts for process in (host, *host.children(recursive=True))]
    for host in hosts:
        host.terminate()
    psutil.wait_procs([*hosts, *wardens], timeout=GRACE_S)
    _kill([process for process in families if _is_alive(process)])


def _processes_marked_by(folder: str) -> list[psutil.Process]:
    """The processes, not this one, whose environment or command line names ``folder``, and all that they started."""
    found: dict[int, psutil.Process] = {}
    spared = {os.getpid(), *_tracker_pids()}
    for process in psutil.process_iter():
        if process.pid in spared:
            continue
        try:
            marks = (*process.cmdline(), *process.environ().values())
            if any(folder in mark for mark in marks):
                found[process.pid] = process
                found.update((child.pid, child) for child in process.children(recursive=True))
        except psutil.Error:
            continue
    return [process for process in found.values() if _is_alive(process)]


# --- leaks of one test --------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _nothing_leaks() -> Iterator[None]:
    """Fail the test that leaves something behind."""
    children, threads, files = _child_pids(), set(threading.enumerate()), _shared_memory_files()
    zmq_before = _open_zmq()
    yield
    leaks = [
        *_leaked_children(children),
        *_leaked_threads(threads),
        *_leaked_zmq(zmq_before),
        *_leaked_files(files),
    ]
    if leaks:
        pytest.fail("The test left behind:\n  " + "\n  ".join(leaks))


def _child_pids() -> set[int]:
    """The children of every thread of this process, as the kernel lists them (psutil would scan all processes)."""
    pids: set[int] = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        try:
            pids.update(map(int, listing.read_text().split()))
        except OSError:  # the thread ended meanwhile
            continue
    return pids - _tracker_pids()


def _tracker_pids() -> set[int]:
    """Python's own resource tracker: one process that stays until this one ends."""
    pid = getattr(resource_tracker._resource_tracker, "_pid", None)
    return set() if pid is None else {pid}


def _leaked_children(before: set[int]) -> list[str]:
    processes = []
    for pid in _child_pids() - before:
        try:
            processes.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs([process for process in processes if _is_alive(process)], timeout=GRACE_S)
    names = [f"process {_describe(process)}" for process in alive if _is_alive(process)]
    _kill(alive)
    return names


def _leaked_threads(before: set[threading.Thread]) -> list[str]:
    """Threads that began in the test and go on: every one that is no daemon, and every one of ours.

    The executor threads of an event loop go with their loop, and a loop that was left open warns of itself.
    """
    leaked = []
    for thread in set(threading.enumerate()) - before:
        is_ours = thread.name.startswith("dspex")
        if not is_ours and (thread.daemon or thread.name.startswith("asyncio_")):
            continue
        thread.join(GRACE_S)
        if thread.is_alive():
            leaked.append(f"thread {thread.name}")
    return leaked


def _open_zmq() -> set[Any]:
    """The open ZMQ contexts and sockets of this process; the process-wide context may stay open, its sockets not."""
    # pyzmq has a context of its own for messages that it does not copy; it stays until the process ends.
    contexts = {one for one in _contexts if one is not garbage.gc._context}
    mine = {one for one in contexts if not (one.closed or one._shadow or one is zmq.Context._instance)}
    sockets = {one for context in contexts for one in getattr(context, "_sockets", None) or ()}
    return mine | {one for one in sockets if not (one.closed or one._shadow)}


def _leaked_zmq(before: set[Any]) -> list[str]:
    leaked = _open_zmq() - before
    names = sorted(repr(one) for one in leaked)
    for one in leaked:
        if isinstance(one, zmq.Socket):
            one.close(linger=0)
        else:
            one.destroy(linger=0)
    return names


def _leaked_files(before: set[str]) -> list[str]:
    """Files that stay: those of another lab on this machine come and go, and a name never comes again."""
    left, until = _shared_memory_files() - before, time.monotonic() + GRACE_S
    while left and time.monotonic() < until:
        time.sleep(0.05)
        left &= _shared_memory_files()
    return [f"shared memory {name}" for name in sorted(left)]


def _shared_memory_files() -> set[str]:
    if not SHARED_MEMORY.is_dir():
        return set()
    return {file.name for file in SHARED_MEMORY.iterdir() if file.name.startswith(SHARED_MEMORY_PREFIXES)}


# --- processes ----------------------------------------------------------------------------------------------------


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:120]}"
    except psutil.Error:
        return str(process.pid)


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(processes, timeout=GRACE_S)
