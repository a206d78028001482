"""What the pool costs: a trivial call, a worker's start, a worker's memory."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from dspex_lab.calls import Call, TraceContext, new_id
from dspex_lab.lab import Lab
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.telemetry import new_span_id
from tests.benchmarks.peers import process_pool_call_s, spawn_and_import_s, zmq_echo_s
from tests.benchmarks.table import Row, median

__all__ = ["own_lab", "rows"]

CALLS = 2000
STARTS = 5
IN_FLIGHT = 64
MB = 2**20
STOP_TIMEOUT_S = 15.0
ECHO = "system.echo"


def rows() -> list[Row]:
    """Latency and throughput of calls, seconds of a worker's start, PSS of a worker; a host of their own."""
    spec = PoolSpec(name="bench", size=1, min_ready=1, concurrency=IN_FLIGHT)
    settings = Settings.create(pools=(spec,), idle_exit_s=30.0)
    with own_lab(settings) as lab:
        lab.portal.run(_call, lab, "bench")
        call_s = lab.portal.run(_one_after_another, lab)
        calls_per_s = lab.portal.run(_many_at_once, lab)
        traced_s, untraced_s = lab.portal.run(_with_and_without_trace, lab)
        starts = [lab.portal.run(_start_worker, lab, f"start-{number}") for number in range(STARTS)]
        memory = [_pss_bytes(pid) for pid in _worker_pids(lab)]
    echo_s, executor_s, spawn_s = zmq_echo_s(), process_pool_call_s(), spawn_and_import_s()
    start_s, pss_mb = median(starts), median(memory) / MB
    return [
        _times("trivial call, p50", call_s, echo_s, "raw ZMQ ipc echo", most=3.0),
        _times("trivial call, p50", call_s, executor_s, "ProcessPoolExecutor"),
        Row(f"trivial calls, {IN_FLIGHT} in flight", calls_per_s, "calls/s"),
        _times("trivial call whose span is kept, p50", traced_s, untraced_s, "without a trace", most=1.05),
        Row(
            "worker start, fork to first result",
            start_s,
            "s",
            'spawn, "import dspy"',
            spawn_s,
            spawn_s / start_s,
            ">= 6x faster",
            is_met=spawn_s / start_s >= 6,
        ),
        Row(f"memory of a worker (PSS, {len(memory)} workers)", pss_mb, "MB", aim="<= 60 MB", is_met=pss_mb <= 60),
    ]


@contextmanager
def own_lab(settings: Settings) -> Iterator[Lab]:
    """A lab on a host that ends with it."""
    with Lab(settings) as lab:
        host = psutil.Process(lab.start().pid)
        try:
            yield lab
        finally:
            lab.stop()
            host.wait(STOP_TIMEOUT_S)


async def _call(lab: Lab, pool: str, trace: TraceContext | None = None) -> Any:
    call = Call(ECHO, {"value": 1}, pool=pool, timeout_s=60.0, trace=trace)
    return (await lab.backend.submit(call).result()).value


async def _one_after_another(lab: Lab) -> float:
    taken = []
    for _ in range(CALLS):
        began = time.perf_counter()
        await _call(lab, "bench")
        taken.append(time.perf_counter() - began)
    return median(taken[CALLS // 10 :])


async def _with_and_without_trace(lab: Lab) -> tuple[float, float]:
    """Both p50 in seconds, from calls that take turns, so that what else the machine does hits both alike."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    for number in range(3 * CALLS):
        is_traced = number % 2 == 0
        trace = TraceContext(new_id(), new_span_id()) if is_traced else None
        began = time.perf_counter()
        await _call(lab, "bench", trace)
        taken[is_traced].append(time.perf_counter() - began)
    return median(taken[True]), median(taken[False])


async def _many_at_once(lab: Lab) -> float:
    """Calls a second with :data:`IN_FLIGHT` readers, each with one call at a time."""

    async def reader() -> None:
        for _ in range(CALLS // IN_FLIGHT):
            await _call(lab, "bench")

    began = time.perf_counter()
    await asyncio.gather(*(reader() for _ in range(IN_FLIGHT)))
    return IN_FLIGHT * (CALLS // IN_FLIGHT) / (time.perf_counter() - began)


async def _start_worker(lab: Lab, name: str) -> float:
    """Seconds from asking a pool without workers until its first worker gave a result."""
    spec = PoolSpec(name=name, size=1)
    await lab.backend.request("pools.ensure", specs=[spec.model_dump(mode="json")])
    began = time.perf_counter()
    await _call(lab, name)
    return time.perf_counter() - began


def _worker_pids(lab: Lab) -> list[int]:
    status = lab.request("status")
    pools = status["pools"].values() if isinstance(status["pools"], dict) else status["pools"]
    return [worker["pid"] for pool in pools for worker in pool["workers"] if worker["pid"]]


def _pss_bytes(pid: int) -> int:
    """A process's proportional share of memory: its own pages, and its part of those that it shares."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def _times(name: str, value_s: float, peer_s: float, peer: str, *, most: float | None = None) -> Row:
    ratio = value_s / peer_s
    aim = "" if most is None else f"<= {most:g}x"
    return Row(
        name, value_s * 1000, "ms", peer, peer_s * 1000, ratio, aim, is_met=None if most is None else ratio <= most
    )
