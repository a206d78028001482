"""Notebook panels: thin Python bridges to plain ES modules. Cheap to import; ipywidgets loads when one is shown."""

from dspex_lab.widgets.panels import show_metrics, show_pools, show_trace
from dspex_lab.widgets.run_panel import PanelStatistics, RunPanel

__all__ = ["PanelStatistics", "RunPanel", "show_metrics", "show_pools", "show_trace"]
