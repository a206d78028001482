"""The bridge of the run panel to the browser: traits with the state, custom messages for text and commands.

Imports ipywidgets, so only :mod:`dspex_lab.widgets.run_panel` imports it, and only when a panel is shown.
"""

from __future__ import annotations

import traitlets

from dspex_lab.widgets.modules import STATIC, read_module, read_style
from dspex_lab.widgets.widget import Widget

__all__ = ["RunWidget"]


class RunWidget(Widget):
    """A run's panel in the browser; what it shows is :func:`dspex_lab.widgets.panel_state.state_message`."""

    _esm = read_module(STATIC / "run_panel.js")
    _css = read_style("tokens", "run_panel", "graph")

    graph = traitlets.Dict().tag(sync=True)
    anchor = traitlets.Unicode().tag(sync=True)
