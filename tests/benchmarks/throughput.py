"""What the pool gives under load: two cores, many waiting operations, and a worker that was killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import cloudpickle

from dspex_lab.calls import Call, Code
from dspex_lab.lab import Lab
from dspex_lab.settings import PoolSpec, Settings
from tests.benchmarks.pool import own_lab
from tests.benchmarks.table import Row, median

__all__ = ["rows"]

RUNS = 3
CPU_CALLS = 24
WAITING_CALLS = 1280
WAIT_S = 0.1
IN_FLIGHT = 64


def rows() -> list[Row]:
    """Scaling from one worker to two, the share of the ideal rate for operations that wait, seconds to recover."""
    # Workers cannot import the benchmarks: its functions are sent by value.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    pools = (
        PoolSpec(name="one", size=1),
        PoolSpec(name="two", size=2),
        PoolSpec(name="waiting", size=1, concurrency=IN_FLIGHT, queue_limit=WAITING_CALLS),
        PoolSpec(name="fragile", size=1),
    )
    with own_lab(Settings.create(pools=pools, idle_exit_s=30.0)) as lab:
        one_s, two_s = (median(_batch_s(lab, name) for _ in range(RUNS)) for name in ("one", "two"))
        waiting_s = median(lab.portal.run(_waiting_s, lab) for _ in range(RUNS))
        recovery_s = median(lab.portal.run(_recovery_s, lab) for _ in range(RUNS))
    scaling = one_s / two_s
    ideal_s = WAITING_CALLS * WAIT_S / IN_FLIGHT
    share = ideal_s / waiting_s
    return [
        Row("CPU-bound calls, two workers", two_s, "s", "one worker", one_s, scaling, ">= 1.8x", scaling >= 1.8),
        Row(
            f"{WAITING_CALLS} operations that wait {WAIT_S:g} s, {IN_FLIGHT} at once",
            waiting_s,
            "s",
            "ideal",
            ideal_s,
            share,
            ">= 0.95x the ideal rate",
            share >= 0.95,
        ),
        Row("a killed worker replaced and serving", recovery_s, "s", aim="<= 1 s", is_met=recovery_s <= 1.0),
    ]


def _call(pool: str, function: Callable[..., Any], *args: Any) -> Call:
    return Call("python.call", {"function": Code(function), "args": list(args)}, pool=pool, timeout_s=60.0)


def _spin(rounds: int) -> int:
    total = 0
    for number in range(rounds):
        total += number * number
    return total


def _batch_s(lab: Lab, pool: str) -> float:
    """Seconds of :data:`CPU_CALLS` calls that compute, on workers that are there already."""

    async def batch() -> float:
        calls = [lab.backend.submit(_call(pool, _spin, 10)) for _ in range(8)]
        await asyncio.gather(*(call.result() for call in calls))
        began = time.perf_counter()
        calls = [lab.backend.submit(_call(pool, _spin, 1_000_000)) for _ in range(CPU_CALLS)]
        await asyncio.gather(*(call.result() for call in calls))
        return time.perf_counter() - began

    return lab.portal.run(batch)


async def _wait(delay_s: float) -> None:
    await asyncio.sleep(delay_s)


async def _waiting_s(lab: Lab) -> float:
    await lab.backend.submit(_call("waiting", _wait, 0.0)).result()
    began = time.perf_counter()
    calls = [lab.backend.submit(_call("waiting", _wait, WAIT_S)) for _ in range(WAITING_CALLS)]
    await asyncio.gather(*(call.result() for call in calls))
    return time.perf_counter() - began


async def _recovery_s(lab: Lab) -> float:
    """Seconds from SIGKILL of the only worker until a call is answered by its successor."""
    pid = (await lab.backend.submit(_call("fragile", os.getpid)).result()).value
    os.kill(pid, signal.SIGKILL)
    began = time.perf_counter()
    call = _call("fragile", os.getpid)
    successor = pid
    while successor == pid:
        call = Call(call.op, call.args, pool=call.pool, timeout_s=60.0, idempotent=True)
        successor = (await lab.backend.submit(call).result()).value
    return time.perf_counter() - began
