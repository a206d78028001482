"""Traces that show themselves: ``lab.trace(id)`` as the value of a cell is a waterfall, in a terminal it is text."""

from __future__ import annotations

from typing import Any

from dspex_lab.lab import current_lab
from dspex_lab.telemetry.trace import Trace
from dspex_lab.widgets.live_shown import show_live
from dspex_lab.widgets.notebook import has_kernel
from dspex_lab.widgets.trace_panel import trace_subject

__all__ = ["display_trace", "teach", "trace"]


def trace(trace_id: str | None = None) -> Trace:
    """One trace by its id, or by that of a run in it: what took how long, as a waterfall; the latest where none is
    named. ``trace.spans`` are its spans, ``trace.frame`` is a DataFrame of them. Raises ``ConfigurationError`` when
    there is none."""
    from IPython import get_ipython

    if (shell := get_ipython()) is not None:
        teach(shell)
    return current_lab().trace(trace_id)


def teach(shell: Any) -> None:
    """Let ``shell`` show traces as panels; doing so twice changes nothing."""
    shell.display_formatter.ipython_display_formatter.for_type(Trace, display_trace)


def display_trace(found: Trace) -> None:
    """Show the trace in the current cell. Without a front end that has widgets: ``NotImplementedError``, by which
    IPython takes the value's text."""
    if not has_kernel():
        raise NotImplementedError  # IPython's own signal to a display function: fall back to the other forms
    show_live(current_lab(), trace_subject(lambda: (found.spans, False)))
