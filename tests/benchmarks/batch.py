"""A pipeline over many rows beside DSPy's own ways, over a remote model that takes 200 ms and is a process of its own.

CPU counts every process: the notebook's, the host's, the workers' and the server's.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from dspex_lab.calls import LmSpec
from dspex_lab.lab import Lab
from dspex_lab.pipelines import BatchStarter, BatchStore, Launcher, Pipeline, native, predict
from dspex_lab.pipelines.steps.step import Leaf
from dspex_lab.portal import Portal
from dspex_lab.router import Router
from dspex_lab.settings import Settings
from dspex_lab.testing.backend import FakeBackend
from tests.benchmarks.pool import own_lab
from tests.benchmarks.table import Row, median

__all__ = ["rows"]

LATENCY_S = 0.2
REPLY = "[[ ## answer ## ]]\nParis\n\n[[ ## completed ## ]]"
#: Rows at a time, and how many in all, ours and the peer's.
FEW, FEW_ROWS, FEW_PEER_ROWS = 64, 1_280, 640
MANY, MANY_ROWS, MANY_PEER_ROWS = 200, 3_000, 1_000
#: Ours and the peers take turns, so that what else the machine does meets them all.
ROUNDS = 3
KEPT_ROWS = 10_000
NATIVE_ROWS = 50_000
MB = 2**20
_START_TIMEOUT_S = 60.0

_SERVER = """
import sys
from dspex_lab.testing.openai_server import OpenAiServer
from dspex_lab.testing.scripted_answers import Behaviour
with OpenAiServer(Behaviour(text=sys.argv[1], latency_s=float(sys.argv[2]))) as server:
    print(server.api_base, flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a number of rows took."""

    rows_per_s: float
    cpu_ms: float


def rows() -> list[Row]:
    """Rate and CPU against DSPy's own ways; how soon a large batch goes on; what many rows cost in memory."""
    with _server() as (api_base, server):
        settings = Settings.create(lm="openai/http", lm_api_base=api_base, lm_api_key="none", idle_exit_s=30.0)
        with own_lab(settings) as lab:
            few, many, free, threads, gathered = _remote(lab, api_base, server)
    ideal = FEW / LATENCY_S
    at_few = few.rows_per_s / ideal
    return [
        Row(
            f"map at {FEW} under way",
            few.rows_per_s,
            "rows/s",
            "ideal",
            ideal,
            at_few,
            ">= 0.9x the ideal rate",
            at_few >= 0.9,
        ),
        _row(f"map at {FEW} under way", few, threads, f"dspy.Parallel, {FEW} threads"),
        _row(f"map at {MANY} under way", many, gathered, f"dspy acall, {MANY} gathered", at_least=3.0),
        _row("map that finds its own number", free, gathered, f"dspy acall, {MANY} gathered"),
        Row(
            "map, CPU of all processes",
            many.cpu_ms,
            "ms/row",
            "dspy acall",
            gathered.cpu_ms,
            many.cpu_ms / gathered.cpu_ms,
        ),
        *_going_on(),
        *_native(),
    ]


def _row(name: str, ours: Taken, peer: Taken, peer_name: str, *, at_least: float | None = None) -> Row:
    ratio = ours.rows_per_s / peer.rows_per_s
    aim = "" if at_least is None else f">= {at_least:g}x"
    is_met = None if at_least is None else ratio >= at_least
    return Row(name, ours.rows_per_s, "rows/s", peer_name, peer.rows_per_s, ratio, aim, is_met)


# --- a remote model -----------------------------------------------------------------------------------------------


@contextmanager
def _server() -> Iterator[tuple[str, int]]:
    """The stand-in model: its address, and its process."""
    command = [sys.executable, "-c", _SERVER, REPLY, str(LATENCY_S)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.kill()


def _remote(lab: Lab, api_base: str, server: int) -> tuple[Taken, Taken, Taken, Taken, Taken]:
    made = Pipeline(
        "ask",
        {"ask": predict("question -> answer")},
        start=lab.launcher.start,
        start_batch=lab.batches.begin,
    )
    parallel, gathered = _dspy(api_base)
    gc.freeze()  # a notebook that maps never has DSPy's heap to look through
    host = lab.status().pid

    def ours(count: int, concurrency: int | None) -> Callable[[], None]:
        def run() -> None:
            result = made.map(_questions(count), concurrency=concurrency, progress=False)
            assert result["answer"].eq("Paris").all()

        return run

    ways: list[tuple[Callable[[], None], int, tuple[int, ...]]] = [
        (ours(FEW_ROWS, FEW), FEW_ROWS, (server, host)),
        (ours(MANY_ROWS, MANY), MANY_ROWS, (server, host)),
        (ours(MANY_ROWS, None), MANY_ROWS, (server, host)),
        (lambda: parallel(FEW_PEER_ROWS), FEW_PEER_ROWS, (server,)),
        (lambda: asyncio.run(gathered(MANY_PEER_ROWS)), MANY_PEER_ROWS, (server,)),
    ]
    ours(MANY, MANY)()  # workers and connections are there from now on
    taken: list[list[Taken]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for place, (run, count, processes) in enumerate(ways):
            taken[place].append(_measured(run, count, processes))
    first, second, third, fourth, fifth = (
        Taken(median(one.rows_per_s for one in some), median(one.cpu_ms for one in some)) for some in taken
    )
    return first, second, third, fourth, fifth


def _questions(count: int) -> list[str]:
    return [f"What is the capital of country {number}?" for number in range(count)]


def _measured(run: Callable[[], None], count: int, processes: tuple[int, ...]) -> Taken:
    before, began = _cpu_s(processes), time.perf_counter()
    run()
    took_s = time.perf_counter() - began
    return Taken(count / took_s, (_cpu_s(processes) - before) / count * 1000)


def _cpu_s(processes: tuple[int, ...]) -> float:
    """CPU seconds of this process, and of those with what they started."""
    total = time.process_time()
    for pid in processes:
        for one in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            times = one.cpu_times()
            total += times.user + times.system
    return total


def _dspy(api_base: str) -> tuple[Callable[[int], None], Callable[[int], Any]]:
    """DSPy's own two ways: threads, and calls that are gathered."""
    import dspy

    lm = dspy.LM("openai/http", api_base=api_base, api_key="none", cache=False, num_retries=0)
    program = dspy.Predict("question -> answer")

    def parallel(count: int) -> None:
        pairs = [(program, {"question": question}) for question in _questions(count)]
        with dspy.context(lm=lm, adapter=dspy.ChatAdapter()):
            found = dspy.Parallel(num_threads=FEW, disable_progress_bar=True)(pairs)
        assert all(one.answer == "Paris" for one in found)

    async def gathered(count: int) -> None:
        questions = iter(_questions(count))

        async def work() -> None:
            for question in questions:
                assert (await program.acall(question=question)).answer == "Paris"

        with dspy.context(lm=lm, adapter=dspy.ChatAdapter()):
            await asyncio.gather(*(work() for _ in range(MANY)))

    return parallel, gathered


# --- on this machine alone ----------------------------------------------------------------------------------------


@contextmanager
def _bare(folder: str) -> Iterator[Callable[[dict[str, Leaf]], Pipeline]]:
    """Makes pipelines whose batches are written down in ``folder``."""
    with Portal() as portal:
        router = Router(FakeBackend({}), LmSpec("local/none"))
        starter = BatchStarter(portal, router, BatchStore(Path(folder) / "journal.sqlite"))
        launcher = Launcher(portal, router)
        yield lambda steps: Pipeline("bare", steps, start=launcher.start, start_batch=starter.begin)
        starter.close()


def _going_on() -> list[Row]:
    """Seconds until the first new row of a large batch that goes on is under way."""
    begun: list[float] = []

    def twice(number: int) -> int:
        begun.append(time.perf_counter())
        return number * 2

    with tempfile.TemporaryDirectory() as folder, _bare(folder) as pipeline:
        made = pipeline({"twice": native(twice)})
        made.map(range(KEPT_ROWS), progress=False)
        taken = []
        for number in range(ROUNDS):
            begun.clear()
            began = time.perf_counter()
            made.map(range(KEPT_ROWS + 1 + number), progress=False, resume=True)
            assert len(begun) == 1
            taken.append(begun[0] - began)
    first_s = median(taken)
    return [Row(f"a batch of {KEPT_ROWS:,} rows goes on", first_s, "s", aim="<= 2 s", is_met=first_s <= 2.0)]


def _native() -> list[Row]:
    """What many trivial rows cost from file to file, written down and not."""
    with tempfile.TemporaryDirectory() as folder, _bare(folder) as pipeline:
        made = pipeline({"twice": native(_twice)})
        made.map(range(1000), to=f"{folder}/warm.csv", progress=False)
        before, began = _rss_bytes(), time.process_time()
        made.map(iter(range(NATIVE_ROWS)), to=f"{folder}/kept.csv", progress=False)
        kept_s, grown = time.process_time() - began, _rss_bytes() - before
        began = time.process_time()
        made.map(iter(range(NATIVE_ROWS)), to=f"{folder}/bare.csv", progress=False, durable=False)
        bare_s = time.process_time() - began
    kept_us, bare_us = kept_s / NATIVE_ROWS * 1e6, bare_s / NATIVE_ROWS * 1e6
    return [
        Row("a trivial row to a file, written down", kept_us, "µs CPU", "not written down", bare_us, kept_us / bare_us),
        Row(
            f"memory that {NATIVE_ROWS:,} rows to a file leave",
            grown / MB,
            "MB",
            aim="<= 64 MB",
            is_met=grown <= 64 * MB,
        ),
    ]


def _twice(number: int) -> int:
    return number * 2


def _rss_bytes() -> int:
    gc.collect()
    return int(psutil.Process(os.getpid()).memory_info().rss)
