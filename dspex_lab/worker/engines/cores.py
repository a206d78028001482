"""How many threads the decoders may use, by what this process is allowed of the machine."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import psutil

__all__ = ["decoder_threads", "prompt_threads", "quota_cores", "usable_cores"]

_GROUPS = Path("/sys/fs/cgroup")
_MAPS = Path("/proc/self/maps")
#: How long GNU's OpenMP lets a thread spin for another one before it sleeps. Its own measure is a hundred times this:
#: where one core of two was busy, two threads read 2 tokens a second with it, and with this one more than one alone.
_SPINS = "GOMP_SPINCOUNT", "3000"


def decoder_threads() -> int:
    """For text that is written: all cores but one, which is the notebook's and the host's.

    The threads wait for one another at every layer, and a single token gives each of them next to nothing to do: where
    one of them has to share its core, all stand still.
    """
    return max(1, usable_cores() - 1)


def prompt_threads() -> int:
    """For prompts that are read, many tokens at a time: all cores, if threads that wait give theirs away.

    To be asked before the decoder's library is imported: OpenMP reads its variables when it is loaded.
    """
    return usable_cores() if _waiting_threads_sleep() else decoder_threads()


def usable_cores() -> int:
    """The physical cores that this process may use: at most as many as it may run on, and as its container is given."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or allowed
    quota = quota_cores(_GROUPS)
    return max(1, min(allowed, physical, math.ceil(quota) if quota else allowed))


def quota_cores(groups: Path) -> float | None:
    """The share of cores that the control groups under ``groups`` (of either version) let a container have, or None."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((groups / name).read_text() for name in names).split()
            share = int(quota) / int(period)
        except (OSError, ValueError, ZeroDivisionError):  # not there, or "max": no bound
            continue
        return share if share > 0 else None
    return None


def _waiting_threads_sleep() -> bool:
    name, spins = _SPINS
    if name not in os.environ:
        if not sys.platform.startswith("linux") or "libgomp" in _MAPS.read_text():  # elsewhere, or too late
            return False
        os.environ[name] = spins
    return True
