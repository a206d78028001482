"""``%lab traces`` and ``%lab trace ID``: what ran, and what took how long."""

from __future__ import annotations

from typing import Any

from dspex_lab.lab import current_lab

__all__ = ["show_trace", "show_traces"]

#: So many traces are shown; lab.traces() has them all.
_SHOWN = 50


def show_traces() -> Any:
    """The latest traces as a table; None when there is none."""
    table = current_lab().traces(_SHOWN)
    return table if len(table) else None


def show_trace(trace_id: str | None) -> Any:
    """One trace; the latest when none is named, None when there is none."""
    lab = current_lab()
    if trace_id is not None:
        return lab.trace(trace_id)
    latest = lab.traces(1)
    return lab.trace(str(latest["trace"].iloc[0])) if len(latest) else None
