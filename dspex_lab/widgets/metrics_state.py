"""What the metrics panel's front end is told, as plain data; ``static/metrics_view.js`` names the same fields. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from dspex_lab.calls import Usage

__all__ = ["HISTORY_COLUMNS", "StepFigures", "metrics_message", "run_message"]

#: What stands in a row of the history: ``t`` in epoch seconds where its bucket begins, latencies in seconds.
HISTORY_COLUMNS = ("t", "calls", "errors", "input_tokens", "output_tokens", "p50_s", "p90_s", "p99_s")
_BUCKET_S = 5.0


class StepFigures(Protocol):
    """What one step took; a run's ``StepMetrics`` are such, and a run's view has them too."""

    @property
    def status(self) -> str: ...

    @property
    def duration_s(self) -> float | None: ...

    @property
    def usage(self) -> Usage: ...

    @property
    def retries(self) -> int: ...


def metrics_message(
    statistics: Mapping[str, Any] | None,
    runs: Sequence[Mapping[str, Any]] = (),
    *,
    now: float,
    trouble: str = "",
) -> dict[str, Any]:
    """The panel of what a host answered to ``statistics`` (None: no host runs) and of ``runs``, which
    :func:`run_message` makes. Five seconds without a call have no row in the history. ``trouble``: why the host could
    not be asked."""
    found = statistics or {}
    return {
        "has_host": statistics is not None,
        "now": now,
        "since": found.get("since"),
        "bucket_s": _BUCKET_S,
        "series": [dict(one) for one in found.get("series", ())],
        "history": {name: [_row(row) for row in rows] for name, rows in found.get("history", {}).items()},
        "runs": [dict(one) for one in runs],
        "trouble": trouble,
    }


def _row(row: Sequence[float]) -> list[float]:
    """A row in few characters: an hour of them goes to the page at each reading."""
    counts, latencies = row[:5], row[5:]
    return [*(int(one) for one in counts), *(round(one, 5) for one in latencies)]


def run_message(
    run_id: str,
    pipeline: str,
    status: str,
    *,
    started_at: float,
    duration_s: float | None,
    steps: Iterable[tuple[str, StepFigures]],
    error: str = "",
) -> dict[str, Any]:
    """One run to compare with others; ``steps`` are what its steps took, by name."""
    told = [
        {
            "name": name,
            "status": str(one.status),
            "duration_s": one.duration_s,
            "input_tokens": one.usage.input_tokens,
            "output_tokens": one.usage.output_tokens,
            "cost": one.usage.cost,
            "retries": one.retries,
        }
        for name, one in steps
    ]
    costs = [one["cost"] for one in told if one["cost"] is not None]
    return {
        "id": run_id,
        "pipeline": pipeline,
        "status": status,
        "started_at": started_at,
        "duration_s": duration_s,
        "input_tokens": sum(one["input_tokens"] for one in told),
        "output_tokens": sum(one["output_tokens"] for one in told),
        "cost": sum(costs) if costs else None,
        "retries": sum(one["retries"] for one in told),
        "error": error,
        "steps": told,
    }
