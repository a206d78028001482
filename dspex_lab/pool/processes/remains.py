"""What workers and hosts leave behind when they die: processes that got away from them, found and ended.

Processes are known by a mark in their environment and by being ours by inheritance, never by a pid that was written
down: pids are given out again. Signals go through a pidfd, so they reach the process that was looked at, or nobody.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
from collections.abc import Collection, Iterator
from pathlib import Path

__all__ = ["HOST_MARK", "WORKER_MARK", "adopt_orphans", "end_adopted", "end_marked", "host_mark"]

log = logging.getLogger(__name__)

#: In the environment of the zygote, of every worker, and of whatever they start.
HOST_MARK = "DSPEX_LAB_HOST"
WORKER_MARK = "DSPEX_LAB_WORKER_ID"

_PR_SET_CHILD_SUBREAPER = 36


def host_mark(folder: Path) -> str:
    """What marks the processes of the host whose own folder is ``folder``: no two hosts have the same."""
    return str(folder.absolute())


def adopt_orphans() -> None:
    """From now on a process below this one whose parents are gone becomes a child of this one."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_adopted(own: Collection[int], workers: Collection[str]) -> int:
    """End every child of this process that is not among ``own`` pids and carries the mark of no living one of
    ``workers``; how many there were. Those that ended already are reaped. A worker's daemon lives as long as its
    worker."""
    count = 0
    for pid in _children() - set(own):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) != (0, 0):
                continue
        environment = _environment(pid)
        if environment is not None and environment.get(WORKER_MARK, "") not in workers:
            log.warning("Process %s outlived its worker and is ended.", pid)
            os.kill(pid, signal.SIGKILL)  # a child that was not waited for: its pid is its own
            count += 1
    return count


def end_marked(marks: Collection[str]) -> int:
    """End every process of this user that carries one of ``marks`` as its host; how many there were."""
    count = 0
    for pid in _all_pids():
        if _host_of(pid) not in marks:
            continue
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            if _host_of(pid) in marks:  # still the one that was looked at
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                count += 1
        except OSError:
            continue
        finally:
            os.close(descriptor)
    return count


def _host_of(pid: int) -> str | None:
    environment = _environment(pid)
    return None if environment is None else environment.get(HOST_MARK)


def _environment(pid: int) -> dict[str, str] | None:
    """The environment that the process was started with; None when it is gone or another user's."""
    try:
        data = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    entries = (entry.partition("=") for entry in os.fsdecode(data).split("\0") if entry)
    return {name: value for name, _, value in entries}


def _children() -> set[int]:
    pids: set[int] = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread ended meanwhile
            pids.update(map(int, listing.read_text().split()))
    return pids


def _all_pids() -> Iterator[int]:
    own = os.getpid()
    for path in Path("/proc").iterdir():
        if path.name.isdecimal() and int(path.name) != own:
            yield int(path.name)
