"""What ``lab.statistics()`` gives: the figures of routes, circuits, caches and budgets, as values and as tables.

Knows how figures are shown, and nothing of how they come to be; pandas is imported when a table is asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from dspex_lab.cache import CacheStatistics
from dspex_lab.router.breaker import BreakerStatistics
from dspex_lab.router.budget import AccountStatistics
from dspex_lab.router.strategies import RouterStatistics

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LabStatistics"]


@dataclass(frozen=True, slots=True)
class LabStatistics:
    """Everything that a lab's router counted. ``accounts`` are those of runs with a budget, by run id.

    ``routes``, ``retries``, ``circuits``, ``caches`` and ``budgets`` are pandas DataFrames of what this lab did;
    ``calls``, ``steps``, ``history`` and ``workers`` are of the host, for all notebooks: ``host`` is what it answers to
    "statistics" and ``pools`` what to "status", empty where none lives.
    """

    router: RouterStatistics
    breaker_figures: tuple[BreakerStatistics, ...] = ()
    cache_figures: tuple[CacheStatistics, ...] = ()
    accounts: Mapping[str, AccountStatistics] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    pools: Mapping[str, Any] = field(default_factory=dict)

    @property
    def routes(self) -> pd.DataFrame:
        """Calls by route and target, and how they ended."""
        return _frame("route target calls succeeded failed cancelled", map(dataclasses.asdict, self.router.ways))

    @property
    def retries(self) -> pd.DataFrame:
        """Retries by the error that was before them."""
        rows = ({"error": error, "retries": count} for error, count in self.router.by_retry.items())
        return _frame("error retries", rows)

    @property
    def circuits(self) -> pd.DataFrame:
        """The circuit of each model and pool that was called. Times in seconds."""
        rows = ({**dataclasses.asdict(one), "state": str(one.state)} for one in self.breaker_figures)
        return _frame("target state reason consecutive calls failures opened refused next_probe_s", rows)

    @property
    def caches(self) -> pd.DataFrame:
        """The caches that were used."""
        rows = ({**dataclasses.asdict(one), "hit_rate": one.hit_rate} for one in self.cache_figures)
        columns = "kind entries max_entries size_bytes hits misses hit_rate shared stored evicted expired rejected"
        return _frame(columns, rows)

    @property
    def budgets(self) -> pd.DataFrame:
        """The runs with a budget: what they have used, and of how much. Costs in US dollars, times in seconds."""
        columns = "run tokens max_tokens_total cost max_cost unpriced_calls remaining_s deadline_s"
        return _frame(columns, (_budget_row(run_id, one) for run_id, one in self.accounts.items()))

    @property
    def calls(self) -> pd.DataFrame:
        """Every operation of every pool: calls, errors, tokens, cost, and how long they took, the queue included."""
        return _frame(f"op pool {_SERIES}", map(_series_row, self.host.get("series", ())))

    @property
    def steps(self) -> pd.DataFrame:
        """The steps of runs by what they do and the way that they went."""
        return _frame(f"op route pool cache_hits {_SERIES}", map(_series_row, self.host.get("steps", ())))

    @property
    def history(self) -> pd.DataFrame:
        """The last hour in pieces of five seconds, by pool; the pool "" is all of them. ``time`` is when one began."""
        import pandas as pd

        names = ["time", "calls", "errors", "input_tokens", "output_tokens", "p50_s", "p90_s", "p99_s"]
        rows = (
            {"pool": pool, **dict(zip(names, row, strict=True))}
            for pool, rows in self.host.get("history", {}).items()
            for row in rows
        )
        frame = _frame(" ".join(["pool", *names]), rows)
        return frame.assign(time=pd.to_datetime(frame["time"], unit="s", utc=True))

    @property
    def workers(self) -> pd.DataFrame:
        """Every worker now: its state, calls, share of a processor, and memory (MB), its own and of a GPU."""
        columns = "pool worker state pid in_flight calls_done cpu_percent memory_mb gpu_memory_mb"
        return _frame(columns, (_worker_row(name, one) for name, pool in self.pools.items() for one in pool["workers"]))

    def __repr__(self) -> str:
        now, used = self.router, self.router.used
        ends = f"{now.succeeded} succeeded, {now.failed} failed, {now.cancelled} cancelled, {now.in_flight} under way"
        cost = "" if used.cost is None else f", ${used.cost:.4g}"
        lines = [
            f"Calls: {now.calls} ({ends})",
            f"Retries: {now.retries}, fallbacks: {now.fallbacks}, cache hits: {now.cache_hits}",
            f"Models: {used.lm_calls} calls, {used.input_tokens} tokens read, {used.output_tokens} written{cost}",
        ]
        lines += [f"Circuit of {one}" for one in self.breaker_figures]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        named = {
            "calls": self.calls,
            "steps": self.steps,
            "workers": self.workers,
            "routes": self.routes,
            "retries": self.retries,
            "circuits": self.circuits,
            "caches": self.caches,
            "budgets": self.budgets,
        }
        tables = "".join(
            f"<h4>{name}</h4>{frame.to_html(index=False, na_rep='', border=0)}"
            for name, frame in named.items()
            if len(frame)
        )
        return f"<pre>{escape(repr(self))}</pre>{tables}"


def _budget_row(run_id: str, account: AccountStatistics) -> dict[str, Any]:
    spent = account.spent
    return {
        "run": run_id,
        "tokens": spent.input_tokens + spent.output_tokens,
        "cost": spent.cost,
        "unpriced_calls": account.unpriced_calls,
        "remaining_s": account.remaining_s,
        **dataclasses.asdict(account.budget),
    }


_SERIES = "calls errors error_rate input_tokens output_tokens cost mean_s p50_s p90_s p99_s"
_MB = 1024 * 1024


def _series_row(row: Mapping[str, Any]) -> dict[str, Any]:
    calls = row["calls"] or 1
    return {**row, "error_rate": row["errors"] / calls, "mean_s": row.get("total_s", 0.0) / calls}


def _worker_row(pool: str, worker: Mapping[str, Any]) -> dict[str, Any]:
    gpu_bytes = worker.get("gpu_memory_bytes")
    return {
        **worker,
        "pool": pool,
        "worker": worker["id"],
        "memory_mb": worker["rss_bytes"] / _MB,
        "gpu_memory_mb": None if gpu_bytes is None else gpu_bytes / _MB,
    }


def _frame(columns: str, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(rows), columns=columns.split())
