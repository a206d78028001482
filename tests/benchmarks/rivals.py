"""The pool against what people use for the same today: Ray actors and ipyparallel's load-balanced view."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dspex_lab.calls import Call
from dspex_lab.lab import Lab
from dspex_lab.settings import PoolSpec, Settings
from tests.benchmarks.pool import own_lab
from tests.benchmarks.table import Row, durations, median

__all__ = ["rows"]

CALLS = 500
PIPELINED = 2000
IN_FLIGHT = 64
ARRAY_RUNS = 5
ARRAY_BYTES = 64 * 2**20


def rows() -> list[Row]:
    """A trivial call, many at once, and a large array there and back, each beside its rivals."""
    array = np.random.default_rng(0).integers(0, 255, ARRAY_BYTES, dtype=np.uint8)
    spec = PoolSpec(name="bench", size=1, concurrency=IN_FLIGHT)
    with own_lab(Settings.create(pools=(spec,), idle_exit_s=30.0)) as lab:
        own = lab.portal.run(_own_call_s, lab), lab.portal.run(_own_rate, lab), lab.portal.run(_own_array_s, lab, array)
    with ray_actor() as (ray, actor):
        theirs = _ray_figures(ray, actor, array)
    with ipyparallel_view() as view:
        view_s = median(durations(lambda: view.apply_sync(_same, 1), runs=CALLS, warm_up=20))
    return [
        _row("trivial call, p50", own[0] * 1000, "ms", "Ray actor", theirs[0] * 1000, own[0] / theirs[0], most=0.7),
        _row("trivial call, p50", own[0] * 1000, "ms", "ipyparallel", view_s * 1000, own[0] / view_s, most=0.1),
        _row(
            f"trivial calls, {IN_FLIGHT} in flight",
            own[1],
            "calls/s",
            "Ray actor",
            theirs[1],
            own[1] / theirs[1],
            least=2.0,
        ),
        _row("64 MB array there and back", own[2] * 1000, "ms", "Ray", theirs[2] * 1000, own[2] / theirs[2], most=1.0),
    ]


def _row(
    name: str,
    value: float,
    unit: str,
    peer: str,
    peer_value: float,
    ratio: float,
    *,
    most: float = float("inf"),
    least: float = 0.0,
) -> Row:
    aim = f">= {least:g}x" if least else f"<= {most:g}x"
    return Row(name, value, unit, peer, peer_value, ratio, aim, is_met=least <= ratio <= most)


async def _echo(lab: Lab, value: Any) -> Any:
    call = Call("system.echo", {"value": value}, pool="bench", timeout_s=60.0)
    return (await lab.backend.submit(call).result()).value


async def _own_call_s(lab: Lab) -> float:
    taken = []
    for _ in range(CALLS + 20):
        began = time.perf_counter()
        await _echo(lab, 1)
        taken.append(time.perf_counter() - began)
    return median(taken[20:])


async def _own_rate(lab: Lab) -> float:
    async def reader() -> None:
        for _ in range(PIPELINED // IN_FLIGHT):
            await _echo(lab, 1)

    began = time.perf_counter()
    await asyncio.gather(*(reader() for _ in range(IN_FLIGHT)))
    return IN_FLIGHT * (PIPELINED // IN_FLIGHT) / (time.perf_counter() - began)


async def _own_array_s(lab: Lab, array: Any) -> float:
    taken = []
    for _ in range(ARRAY_RUNS + 1):
        began = time.perf_counter()
        back = await _echo(lab, array)
        taken.append(time.perf_counter() - began)
        assert back.nbytes == array.nbytes
    return median(taken[1:])


@contextmanager
def ray_actor() -> Iterator[tuple[Any, Any]]:
    """Ray on this machine alone, with one actor that answers with what it was given."""
    import ray

    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        # Ray asks the network for its version and sends statistics if it is let.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=folder,
            _node_ip_address="127.0.0.1",
            object_store_memory=512 * 2**20,
        )
        try:
            actor = ray.remote(_Echo).options(max_concurrency=IN_FLIGHT).remote()
            ray.get(actor.echo.remote(1))
            yield ray, actor
        finally:
            ray.shutdown()


class _Echo:
    def echo(self, value: Any) -> Any:
        return value


def _ray_figures(ray: Any, actor: Any, array: Any) -> tuple[float, float, float]:
    call_s = median(durations(lambda: ray.get(actor.echo.remote(1)), runs=CALLS, warm_up=20))
    began = time.perf_counter()
    waiting = [actor.echo.remote(1) for _ in range(IN_FLIGHT)]
    for _ in range(PIPELINED - IN_FLIGHT):
        done, waiting = ray.wait(waiting, num_returns=1)
        ray.get(done)
        waiting.append(actor.echo.remote(1))
    ray.get(waiting)
    rate = PIPELINED / (time.perf_counter() - began)
    array_s = median(durations(lambda: ray.get(actor.echo.remote(array)), runs=ARRAY_RUNS, warm_up=1))
    return call_s, rate, array_s


@contextmanager
def ipyparallel_view() -> Iterator[Any]:
    """An ipyparallel cluster of one engine, in a folder of its own, and its load-balanced view."""
    import ipyparallel

    with tempfile.TemporaryDirectory(prefix="ipp-", dir="/tmp") as folder:
        cluster = ipyparallel.Cluster(n=1, profile_dir=folder, log_level=40)
        client = cluster.start_and_connect_sync()
        try:
            view = client.load_balanced_view()
            view.apply_sync(_same, 1)
            yield view
        finally:
            client.close()
            cluster.stop_cluster_sync()


def _same(value: Any) -> Any:
    return value
