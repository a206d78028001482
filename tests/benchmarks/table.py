"""A figure and its table: what was measured, what a peer gave in the same run, and what was aimed at."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Row", "durations", "median", "render", "to_dicts"]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``ratio`` is how much better or worse than the peer, as ``aim`` says; ``is_met`` None: no aim."""

    name: str
    value: float
    unit: str
    peer_name: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    aim: str = ""
    is_met: bool | None = None


def median(values: Iterable[float]) -> float:
    """The median, by which every figure is told: one slow run of a busy machine does not move it."""
    return statistics.median(values)


def durations(function: Callable[[], object], *, runs: int, warm_up: int = 0) -> list[float]:
    """Seconds that each of ``runs`` calls took, after ``warm_up`` calls that are not counted."""
    for _ in range(warm_up):
        function()
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        function()
        taken.append(time.perf_counter() - began)
    return taken


def render(rows: Sequence[Row]) -> str:
    """The rows as one aligned table."""
    heads = ("figure", "measured", "peer", "", "ratio", "aim", "")
    cells = [heads, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        _figure(row.value, row.unit),
        "" if row.peer_value is None else _figure(row.peer_value, row.unit),
        row.peer_name,
        "" if row.ratio is None else f"{row.ratio:.3g}x",
        row.aim,
        {True: "ok", False: "MISSED", None: ""}[row.is_met],
    )


def _figure(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"


def to_dicts(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The rows as plain data."""
    return [asdict(row) for row in rows]
