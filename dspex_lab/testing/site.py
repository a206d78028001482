"""A runtime folder of its own with real hosts in it, and ways to look at and break what runs there.

For tests that need processes; whoever makes a :class:`Site` ends it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import psutil

from dspex_lab.backends.base import PendingCall
from dspex_lab.calls import Call, Code
from dspex_lab.errors import HostUnavailable, LabError
from dspex_lab.folders import remove_tree
from dspex_lab.pool.processes.rendezvous import find_host
from dspex_lab.settings import PoolSpec, Settings

__all__ = ["LIMIT_S", "Site", "echo", "end_of", "python_call", "until"]

#: A bound for what takes a moment on a loaded machine, in seconds.
LIMIT_S = 45.0


class Site:
    """A runtime folder with a short path, and its host when there is one."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dxs-", dir="/tmp"))

    def settings(self, *pools: PoolSpec, **values: Any) -> Settings:
        """Settings for this folder; without ``pools`` there is one with one worker. Nothing is preloaded: a host that
        runs no program of DSPy's is there seconds earlier."""
        specs = pools or (PoolSpec(name="general", size=1, min_ready=1),)
        return Settings.create(**{"runtime_dir": self.folder, "pools": specs, "preload": (), **values})

    def host_pid(self) -> int:
        """The living host's."""
        host = find_host(self.folder)
        if host is None:
            raise HostUnavailable(f"No host serves in {self.folder}.")
        return host.pid

    def processes(self) -> list[psutil.Process]:
        """Everything alive that names the folder in its environment or command line, and the host itself."""
        found = []
        for process in psutil.process_iter():
            try:
                marks = (*process.cmdline(), *process.environ().values())
                is_ours = any(str(self.folder) in mark for mark in marks) or process.cwd().startswith(str(self.folder))
                if is_ours and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, FileNotFoundError):
                continue
        return found

    def end(self) -> None:
        """Kill what is left, the host first."""
        for process in sorted(self.processes(), key=lambda one: one.pid):
            try:
                process.kill()
            except psutil.Error:
                continue
        remove_tree(self.folder)


def python_call(function: Callable[..., Any], *args: Any, **fields: Any) -> Call:
    """A call of ``function``, which travels by value together with what its file defines."""
    module = sys.modules[function.__module__]
    if module.__name__.startswith("tests.") or "test_" in module.__name__:
        cloudpickle.register_pickle_by_value(module)
    return Call("python.call", {"function": Code(function), "args": list(args)}, **fields)


def echo(value: object = 1, **fields: Any) -> Call:
    """A call that gives ``value`` back."""
    return Call("system.echo", {"value": value}, **fields)


async def until(is_true: Callable[[], bool], *, limit_s: float = LIMIT_S) -> float:
    """Wait for something that another process does; how long it took, in seconds."""
    started = time.monotonic()
    async with asyncio.timeout(limit_s):
        while not is_true():  # noqa: ASYNC110 - another process cannot set an event of ours
            await asyncio.sleep(0.01)
    return time.monotonic() - started


async def end_of(pending: PendingCall, *, limit_s: float = LIMIT_S) -> Any:
    """The value, or the name of the error's class."""
    async with asyncio.timeout(limit_s):
        try:
            return (await pending.result()).value
        except LabError as error:
            return type(error).__name__
