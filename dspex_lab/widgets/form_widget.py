"""The bridge of the form to the browser: traits with the form and its run's state, custom messages for the rest.

Imports ipywidgets, so only :mod:`dspex_lab.widgets.form` imports it, and only when a form is shown.
"""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

from dspex_lab.widgets.modules import STATIC, read_module, read_style
from dspex_lab.widgets.subshells import answer_in_any_shell

__all__ = ["FormWidget"]


class FormWidget(anywidget.AnyWidget):  # type: ignore[misc]  # a class of anywidget's, which has no py.typed, is Any to mypy
    """A form in the browser; what it shows is :func:`dspex_lab.widgets.form_state.form_message`."""

    _esm = read_module(STATIC / "form_panel.js")
    _css = read_style("tokens", "run_panel", "graph", "form")

    form = traitlets.Dict().tag(sync=True)
    #: Where the steps stand in the picture of a pipeline.
    graph = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    #: The last attempt to run that was begun.
    attempt = traitlets.Int(0).tag(sync=True)
    anchor = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        answer_in_any_shell(self.comm)

    def close(self) -> None:
        """Close the comm, and the one of the layout that ipywidgets gives to every widget."""
        if self.comm is not None:
            self.layout.close()
        super().close()
