"""What it costs to send a large array to another process and to get one back."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
import pandas as pd

from dspex_lab.calls import Call
from dspex_lab.lab import Lab
from dspex_lab.settings import PoolSpec, Settings
from tests.benchmarks.pool import MB, own_lab
from tests.benchmarks.table import Row, durations, median

__all__ = ["identity", "rows"]

SIZE_MB = 64
RUNS = 7
STOP_TIMEOUT_S = 10.0

Array = np.ndarray[Any, Any]


def rows() -> list[Row]:
    """MB a second there and back, twice the size of the value; every value is read where it arrives."""
    array = np.random.default_rng(1).random(SIZE_MB * MB // 8)
    table = pd.DataFrame(array.reshape(-1, 8), columns=list("abcdefgh"))
    spec = PoolSpec(name="bench", size=1, min_ready=1, max_memory_mb=4096)
    with own_lab(Settings.create(pools=(spec,), idle_exit_s=30.0)) as lab:
        ours = _rate(lambda: _sum(_echo(lab, array)))
        frame = _rate(lambda: _sum(_echo(lab, table)["a"].to_numpy()))
        data = _rate(lambda: _echo(lab, array.tobytes()))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pickled = _rate(lambda: _sum(pool.submit(identity, array).result()))
        pickled_frame = _rate(lambda: _sum(pool.submit(identity, table).result()["a"].to_numpy()))
        pickled_data = _rate(lambda: pool.submit(identity, array.tobytes()).result())
    with _copier() as connection:
        raw = _rate(lambda: _copy_there_and_back(connection, array))
    executor = "ProcessPoolExecutor"
    return [
        _row(f"{SIZE_MB} MB array there and back", ours, executor, pickled, least=1.5),
        _row(f"{SIZE_MB} MB array there and back", ours, "raw copies into shared memory", raw),
        _row(f"{SIZE_MB} MB DataFrame there and back", frame, executor, pickled_frame),
        _row(f"{SIZE_MB} MB of bytes there and back", data, executor, pickled_data),
    ]


def identity(value: Any) -> Any:
    """What the executor's worker runs."""
    return value


def _rate(function: Callable[[], object]) -> float:
    return 2 * SIZE_MB / median(durations(function, runs=RUNS, warm_up=3))


def _sum(array: Array) -> float:
    return float(array.sum())


def _echo(lab: Lab, value: object) -> Any:
    async def call() -> Any:
        return (await lab.backend.submit(Call("system.echo", {"value": value}, pool="bench")).result()).value

    return lab.portal.run(call)


def _row(name: str, value: float, peer: str, peer_value: float, *, least: float | None = None) -> Row:
    ratio = value / peer_value
    aim = "" if least is None else f">= {least:g}x"
    return Row(name, value, "MB/s", peer, peer_value, ratio, aim, is_met=None if least is None else ratio >= least)


# --- the least that two processes can do --------------------------------------------------------------------------


@contextmanager
def _copier() -> Iterator[Connection]:
    """A process that copies what it is sent into shared memory of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,))
    process.start()
    try:
        yield ours
        ours.send(None)
        process.join(STOP_TIMEOUT_S)
    finally:
        process.kill()
        process.join(STOP_TIMEOUT_S)
        ours.close()


def _serve(connection: Connection) -> None:
    while (request := connection.recv()) is not None:
        name, count = request
        there = SharedMemory(name)
        back = _shared(np.ndarray(count, np.float64, there.buf))
        there.close()
        back.close()
        connection.send(back.name)


def _shared(array: Array) -> SharedMemory:
    memory = SharedMemory(create=True, size=array.nbytes)
    np.ndarray(array.shape, array.dtype, memory.buf)[:] = array
    return memory


def _copy_there_and_back(connection: Connection, array: Array) -> float:
    there = _shared(array)
    connection.send((there.name, len(array)))
    back = SharedMemory(connection.recv())
    there.close()
    there.unlink()
    total = _sum(np.ndarray(array.shape, array.dtype, back.buf))
    back.close()
    back.unlink()
    return total
