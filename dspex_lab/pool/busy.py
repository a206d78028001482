"""Workers that are silent because they compute: code that holds Python's own lock lets no heartbeat out.

Whether it does is seen from outside, in the CPU time that the system counts for the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import psutil

from dspex_lab.pool.records import PoolRecord, WorkerPhase

__all__ = ["cpu_seconds", "excuse_busy"]

#: A process that hangs uses next to nothing; one that computes has its share even where many do.
_LEAST_SHARE = 0.02


def cpu_seconds(pid: int) -> float | None:
    """What the process has used so far, as its own heartbeats count it; None where it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return times.user + times.system


def excuse_busy(
    pools: Iterable[PoolRecord], now: float, silence_s: float, cpu_s: Callable[[int], float | None] = cpu_seconds
) -> None:
    """A worker that has calls, was silent for as long as it may be, and computed meanwhile, may be so for as long
    again: ``op_timeout_s`` ends what goes on for too long."""
    for pool in pools:
        for worker in pool.workers.values():
            is_at_work = worker.phase in (WorkerPhase.READY, WorkerPhase.DRAINING) and worker.calls
            if not is_at_work or worker.pid is None or now - worker.last_heard < silence_s:
                continue
            used = cpu_s(worker.pid)
            if used is not None and used - worker.cpu_s >= _LEAST_SHARE * silence_s:
                worker.cpu_s, worker.last_heard = used, now
