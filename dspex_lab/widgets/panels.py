"""The panels that people ask for by name: pools, metrics, one trace. Each shows itself in the current cell.

They go on showing while their view is open, also while cells run; looking starts no host.
"""

from __future__ import annotations

from collections.abc import Sequence

from dspex_lab.errors import ConfigurationError
from dspex_lab.lab import current_lab
from dspex_lab.telemetry.attributes import RUN_ID
from dspex_lab.telemetry.spans import Span
from dspex_lab.widgets.live_shown import show_live
from dspex_lab.widgets.metrics_panel import metrics_subject
from dspex_lab.widgets.pools_panel import pools_subject
from dspex_lab.widgets.trace_panel import trace_subject

__all__ = ["show_metrics", "show_pools", "show_trace"]


def show_pools() -> None:
    """Show the pools live: workers and their states, queues, memory, CPU, crashes; resize, restart, start, logs."""
    lab = current_lab()
    show_live(lab, pools_subject(lab))


def show_metrics() -> None:
    """Show the figures of all calls live: latency, throughput, errors and tokens, and runs to compare.

    The charts are plotly's where it is installed (``pip install 'dspex-lab[plot]'``), plain lines elsewhere.
    """
    lab = current_lab()
    show_live(lab, metrics_subject(lab))


def show_trace(trace_id: str | None = None) -> None:
    """Show a trace as a waterfall, by its id or that of a run in it, or by what that begins with; None: the latest. It
    grows while a run of it is under way here. Raises ``ConfigurationError`` when there is none."""
    lab = current_lab()
    wanted = trace_id or lab.trace().trace_id

    def read() -> tuple[Sequence[Span], bool]:
        under_way = {run.id for run in lab.launcher.runs if not run.state.is_over}
        is_asked_for = any(run_id.startswith(wanted) for run_id in under_way)
        try:
            spans = lab.trace(wanted).spans
        except ConfigurationError:
            if not is_asked_for:
                raise
            return (), True  # none of its spans has ended yet
        return spans, is_asked_for or any(span.attributes.get(RUN_ID) in under_way for span in spans)

    show_live(lab, trace_subject(read, clock=lab.clock))
