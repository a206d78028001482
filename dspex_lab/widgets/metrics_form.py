"""The figures without a script: what a saved notebook shows of them, and their text for terminals.

The hour's course is drawn with characters, which stay where styles and images are taken away.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from dspex_lab.telemetry.run_view.formats import cost, seconds
from dspex_lab.telemetry.static_form import box, columns, head, no_math, sparkline, table
from dspex_lab.widgets.metrics_state import HISTORY_COLUMNS

__all__ = ["metrics_html", "metrics_text"]

_NO_HOST = "No pool host runs; the first call starts one."
_NO_CALLS = "No call has ended yet."
_SERIES = ("operation", "pool", "calls", "errors", "p50", "p90", "p99", "tokens in", "tokens out", "cost")
_RUNS = ("run", "pipeline", "state", "started", "duration", "tokens", "cost")
_SERIES_DIGITS = (2, 3, 4, 5, 6, 7, 8, 9)
_RUNS_DIGITS = (4, 5, 6)
#: The course covers so many of the latest buckets at most.
_COURSE = 180
_SHOWN_RUNS = 8


def metrics_html(state: Mapping[str, Any]) -> str:
    """The course of the hour, a table of the operations, and one of the latest runs."""
    parts = [f'<div style="padding: 4px 14px">! {no_math(state["trouble"])}</div>'] if state["trouble"] else []
    if not state["series"]:
        text = _NO_CALLS if state["has_host"] else _NO_HOST
        parts.append(f'<div style="padding: 4px 14px; opacity: .7">{text}</div>')
    else:
        course = [
            [name, f'<span style="font-family: monospace; letter-spacing: 0">{bars}</span>', no_math(about)]
            for name, bars, about in _course(state)
        ]
        parts.append(table(("", "", ""), course))
        parts.append(table(_SERIES, [[*map(no_math, row)] for row in _series(state)], digits=_SERIES_DIGITS))
    if state["runs"]:
        runs = [[f"<code>{no_math(row[0])}</code>", *map(no_math, row[1:])] for row in _runs(state)]
        parts.append(table(_RUNS, runs, digits=_RUNS_DIGITS))
    return box(head("Metrics", _about(state)), *parts)


def metrics_text(state: Mapping[str, Any]) -> str:
    """The figures in lines."""
    lines = [f"Metrics: {_about(state)}" if _about(state) else "Metrics"]
    if state["trouble"]:
        lines.append(f"! {state['trouble']}")
    if state["series"]:
        lines += [columns(_course(state)), columns([_SERIES, *_series(state)], right=_SERIES_DIGITS)]
    else:
        lines.append(_NO_CALLS if state["has_host"] else _NO_HOST)
    if state["runs"]:
        lines.append(columns([_RUNS, *_runs(state)], right=_RUNS_DIGITS))
    return "\n".join(lines)


def _about(state: Mapping[str, Any]) -> str:
    calls = sum(one["calls"] for one in state["series"])
    errors = sum(one["errors"] for one in state["series"])
    if not calls:
        return ""
    return f"{calls:,} calls · {errors:,} errors ({errors / calls:.1%})"


def _course(state: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, bars and what the highest stands for, of the last quarter of an hour."""
    rows = [dict(zip(HISTORY_COLUMNS, row, strict=False)) for row in state["history"].get("", ())]
    if not rows:
        return []
    step, newest = state["bucket_s"], rows[-1]["t"]
    places: list[Mapping[str, Any] | None] = [None] * min(_COURSE, 1 + round((newest - rows[0]["t"]) / step))
    for row in rows:
        place = len(places) - 1 - round((newest - row["t"]) / step)
        if place >= 0:
            places[place] = row
    rates = [row["calls"] / step if row else 0.0 for row in places]
    slow = [row["p90_s"] if row else 0.0 for row in places]
    tokens = [row["output_tokens"] / step if row else 0.0 for row in places]
    return [
        ("calls", sparkline(rates), f"up to {max(rates):,.1f} each second"),
        ("p90", sparkline(slow), f"up to {seconds(max(slow))}"),
        ("tokens out", sparkline(tokens), f"up to {max(tokens):,.0f} each second"),
    ]


def _series(state: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            one["op"],
            one["pool"],
            f"{one['calls']:,}",
            f"{one['errors']:,}",
            *(seconds(one[name]) for name in ("p50_s", "p90_s", "p99_s")),
            f"{one['input_tokens']:,}",
            f"{one['output_tokens']:,}",
            cost(one["cost"]),
        )
        for one in sorted(state["series"], key=lambda one: -one["calls"])
    ]


def _runs(state: Mapping[str, Any]) -> list[tuple[str, ...]]:
    runs: Sequence[Mapping[str, Any]] = state["runs"][:_SHOWN_RUNS]
    return [
        (
            one["id"][:8],
            one["pipeline"],
            one["status"],
            time.strftime("%d %b %H:%M:%S", time.localtime(one["started_at"])),
            seconds(one["duration_s"]),
            f"{one['input_tokens'] + one['output_tokens']:,}",
            cost(one["cost"]),
        )
        for one in runs
    ]
