"""Notebook panels: thin Python bridges to plain ES modules. Cheap to import; ipywidgets loads when one is shown."""

from dspex_lab.widgets.form import Form, form
from dspex_lab.widgets.live_run import PanelStatistics
from dspex_lab.widgets.panels import show_metrics, show_pools, show_trace
from dspex_lab.widgets.run_panel import RunPanel
from dspex_lab.widgets.run_shown import follow, panel_for
from dspex_lab.widgets.trace_shown import display_trace, trace

__all__ = [
    "Form",
    "PanelStatistics",
    "RunPanel",
    "display_trace",
    "follow",
    "form",
    "panel_for",
    "show_metrics",
    "show_pools",
    "show_trace",
    "trace",
]
