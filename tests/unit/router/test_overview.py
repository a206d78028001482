"""What lab.statistics() tells: figures that add up, and the same as tables."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from dspex_lab.calls import Usage
from dspex_lab.errors import ModelError
from dspex_lab.pipelines import native, predict
from dspex_lab.router import LabStatistics
from dspex_lab.router.counts import RouterCounts
from dspex_lab.router.strategies import NOTEBOOK, Decision, Route

from .conftest import Scripted


async def overview(scripted: Scripted) -> LabStatistics:
    """After one failure, one hit, one function and one refused output."""
    scripted.answers = [ModelError("down"), "four", "four", "4"]
    with pytest.raises(ModelError):
        await scripted.run(predict("q -> answer", retry=0))
    context = scripted.context(max_tokens_total=1000)
    for _ in range(2):
        await scripted.run(predict("q -> answer: int", cache=True), context=context)
    await scripted.run(native(lambda q: q, writes="x"))
    router, account = scripted.router, context.account
    assert account is not None
    return LabStatistics(
        router.statistics(), router.breakers.statistics(), router.caches.statistics(), {"run-1": account.statistics()}
    )


async def test_figures_add_up(scripted: Scripted) -> None:
    """Calls by way, how they ended, what was repeated, kept and used."""
    seen = await overview(scripted)
    ways = {(one.route, one.target): (one.calls, one.succeeded, one.failed) for one in seen.router.ways}
    assert ways == {("hybrid", "general"): (3, 2, 1), ("native", "notebook"): (1, 1, 0)}
    assert (seen.router.calls, seen.router.retries, seen.router.cache_hits) == (4, 1, 1)
    assert seen.router.used == Usage(30, 15, 0.03, 3)


def test_what_the_host_counted_is_tables_too() -> None:
    """Calls and steps with their rates and latency, the last hour by pool, workers; without a host they are empty."""
    row: dict[str, Any] = {"op": "dspy.run", "pool": "general", "calls": 4, "errors": 1, "total_s": 2.0, "p50_s": 0.5}
    row["route"] = "python"
    worker = {"id": "general-1", "state": "busy", "pid": 7, "rss_bytes": 2**20, "cpu_percent": 50.0}
    host = {"series": [row], "steps": [row], "history": {"": [[1_700_000_000.0, 4, 1, 3, 4, 0.5, 0.6, 0.7]]}}
    seen = LabStatistics(RouterCounts().statistics(), host=host, pools={"general": {"workers": [worker]}})
    assert seen.calls[["op", "error_rate", "mean_s", "p50_s"]].to_dict("records") == [
        {"op": "dspy.run", "error_rate": 0.25, "mean_s": 0.5, "p50_s": 0.5}
    ]
    assert seen.steps["route"].tolist() == ["python"]
    assert seen.history[["calls", "p99_s"]].to_dict("records") == [{"calls": 4, "p99_s": 0.7}]
    assert str(seen.history["time"].iloc[0]) == "2023-11-14 22:13:20+00:00"
    assert seen.workers[["worker", "memory_mb", "cpu_percent"]].to_dict("records") == [
        {"worker": "general-1", "memory_mb": 1.0, "cpu_percent": 50.0}
    ]
    assert "general-1" in seen._repr_html_()
    empty = LabStatistics(RouterCounts().statistics())
    assert [len(frame) for frame in (empty.calls, empty.steps, empty.history, empty.workers)] == [0, 0, 0, 0]


async def test_each_part_is_a_table(scripted: Scripted) -> None:
    """One row for each way, error, circuit, cache and budget."""
    seen = await overview(scripted)
    assert seen.routes.set_index("target").loc["general", "failed"] == 1
    assert seen.retries.to_dict("records") == [{"error": "ValidationError", "retries": 1}]
    assert seen.circuits[["target", "state", "calls"]].to_dict("records") == [
        {"target": "openai/big", "state": "closed", "calls": 2}
    ]
    assert seen.caches[["kind", "entries", "hits"]].to_dict("records") == [
        {"kind": "MemoryCache", "entries": 1, "hits": 1}
    ]
    assert seen.budgets[["run", "tokens", "max_tokens_total"]].to_dict("records") == [
        {"run": "run-1", "tokens": 45, "max_tokens_total": 1000}
    ]


def test_empty_figures_are_empty_tables() -> None:
    """The columns are there before anything was done."""
    seen = LabStatistics(RouterCounts().statistics())
    assert [len(one) for one in (seen.routes, seen.retries, seen.circuits, seen.caches, seen.budgets)] == [0] * 5
    assert "failures" in seen.circuits.columns
    assert "Calls: 0 (0 succeeded" in repr(seen)


async def test_it_reads_well_as_text_and_as_a_page(scripted: Scripted) -> None:
    """A terminal gets lines, a notebook tables of what there is."""
    seen = await overview(scripted)
    assert repr(seen).splitlines() == [
        "Calls: 4 (3 succeeded, 1 failed, 0 cancelled, 0 under way)",
        "Retries: 1, fallbacks: 0, cache hits: 1",
        "Models: 3 calls, 30 tokens read, 15 written, $0.03",
        "Circuit of openai/big: closed",
    ]
    assert seen._repr_html_().count("<h4>") == 5


def test_counting_loads_no_pandas() -> None:
    """Only who asks for a table pays for it."""
    code = "import sys, dspex_lab.router; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


def test_calls_under_way_are_counted() -> None:
    """What has begun and not ended is in flight, whichever way it took."""
    counts = RouterCounts()
    here, there = Decision(Route.NATIVE, "", NOTEBOOK), Decision(Route.PYTHON, "", "general")
    for decision in (here, there, there):
        counts.begin(decision)
    counts.end(there, "cancelled")
    seen = counts.statistics()
    assert (seen.calls, seen.in_flight, seen.cancelled, dict(seen.by_route)) == (3, 2, 1, {"native": 1, "python": 2})
    assert repr(counts) == "calls: 3, in flight: 2, failed: 0"
