"""The panels that people ask for by name: pools, metrics, one trace. Each shows itself in the current cell.

They go on showing while their view is open, also while cells run; looking starts no host.
"""

from __future__ import annotations

from collections.abc import Sequence

from dspex_lab.errors import ConfigurationError
from dspex_lab.lab import Lab, current_lab
from dspex_lab.telemetry.reader import TraceReader
from dspex_lab.telemetry.spans import Span
from dspex_lab.widgets.live_panel import LivePanel
from dspex_lab.widgets.metrics_panel import metrics_subject
from dspex_lab.widgets.pools_panel import pools_subject
from dspex_lab.widgets.trace_panel import trace_subject

__all__ = ["show_metrics", "show_pools", "show_trace"]


def show_pools() -> None:
    """Show the pools live: workers and their states, queues, memory, CPU, crashes; resize, restart, start, logs."""
    LivePanel(pools_subject(current_lab())).display()


def show_metrics() -> None:
    """Show the figures of all calls live: latency, throughput, errors and tokens, and runs to compare.

    The charts are plotly's where it is installed (``pip install 'dspex-lab[plot]'``), plain lines elsewhere.
    """
    LivePanel(metrics_subject(current_lab())).display()


def show_trace(trace_id: str | None = None) -> None:
    """Show a trace as a waterfall, by its id or the one that begins so; None: the latest. A run's trace has the run's
    id, and grows while it runs. Raises ``ConfigurationError`` when there is none."""
    lab = current_lab()
    found = _find_trace(lab, trace_id or "")

    def read() -> tuple[Sequence[Span], bool]:
        with TraceReader(lab.settings.trace_file) as reader:
            return reader.spans(found), _is_running(lab, found)

    LivePanel(trace_subject(read, clock=lab.clock)).display()


def _find_trace(lab: Lab, begins: str) -> str:
    try:
        with TraceReader(lab.settings.trace_file) as reader:
            known = [one.trace_id for one in reader.traces(limit=1_000)]
    except FileNotFoundError:
        known = []
    known += [run.id for run in lab.launcher.runs if run.id not in known]
    matching = [one for one in known if one.startswith(begins)]
    if not matching:
        raise ConfigurationError(
            f"There is no trace {begins!r}." if begins else "No trace was written down yet.",
            "trace",
            hint="A run of a pipeline writes one.",
        )
    return matching[0]


def _is_running(lab: Lab, trace_id: str) -> bool:
    return any(run.id == trace_id and not run.state.is_over for run in lab.launcher.runs)
