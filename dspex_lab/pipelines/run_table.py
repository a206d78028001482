"""Runs as a pandas DataFrame: one row each, the newest first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from dspex_lab.pipelines.journal.records import RunRecord

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["run_table"]

#: Of the 32 of an id; nobody has so many runs that these would not tell them apart.
_ID_CHARS = 12


def run_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """``id`` (its first characters, which are enough for ``lab.run``), ``pipeline``, ``state``, ``started`` (to the
    second, local time), ``duration`` (a timedelta, to the millisecond), ``steps`` ("3/5": done and all), ``tokens``,
    ``error``."""
    import pandas as pd  # slow to load, and needed here only

    rows = [
        (
            one.run_id[:_ID_CHARS],
            one.pipeline,
            one.state,
            one.started_at,
            one.duration_s,
            f"{one.steps_done}/{one.step_count}",
            one.tokens,
            "" if one.error is None else str(one.error.get("message", "")),
        )
        for one in records
    ]
    columns = ["id", "pipeline", "state", "started", "duration", "steps", "tokens", "error"]
    table = pd.DataFrame(rows, columns=columns)
    zone = datetime.now().astimezone().tzinfo
    table["started"] = pd.to_datetime(table["started"], unit="s", utc=True).dt.tz_convert(zone).dt.floor("s")
    table["duration"] = pd.to_timedelta(table["duration"], unit="s").dt.round("ms")
    return table
