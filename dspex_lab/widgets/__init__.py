"""Notebook panels: thin Python bridges to plain ES modules. Cheap to import; ipywidgets loads when one is shown."""

from dspex_lab.widgets.run_panel import PanelStatistics, RunPanel

__all__ = ["PanelStatistics", "RunPanel"]
