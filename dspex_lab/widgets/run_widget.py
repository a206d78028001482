"""The bridge of the run panel to the browser: traits with the state, custom messages for text and commands.

Imports ipywidgets, so only :mod:`dspex_lab.widgets.run_panel` imports it, and only when a panel is shown.
"""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

from dspex_lab.widgets.modules import STATIC, read_module, read_style
from dspex_lab.widgets.subshells import answer_in_any_shell

__all__ = ["RunWidget"]


class RunWidget(anywidget.AnyWidget):  # type: ignore[misc]  # a class of anywidget's, which has no py.typed, is Any to mypy
    """A run's panel in the browser; what it shows is :func:`dspex_lab.widgets.panel_state.state_message`."""

    _esm = read_module(STATIC / "run_panel.js")
    _css = read_style("tokens", "run_panel", "graph")

    state = traitlets.Dict().tag(sync=True)
    graph = traitlets.Dict().tag(sync=True)
    anchor = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        answer_in_any_shell(self.comm)

    def close(self) -> None:
        """Close the comm, and the one of the layout that ipywidgets gives to every widget."""
        if self.comm is not None:
            self.layout.close()
        super().close()
