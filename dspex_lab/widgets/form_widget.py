"""The bridge of the form to the browser: traits with the form and its run's state, custom messages for the rest.

Imports ipywidgets, so only :mod:`dspex_lab.widgets.form` imports it, and only when a form is shown.
"""

from __future__ import annotations

import traitlets

from dspex_lab.widgets.modules import STATIC, read_module, read_style
from dspex_lab.widgets.widget import Widget

__all__ = ["FormWidget"]


class FormWidget(Widget):
    """A form in the browser; what it shows is :func:`dspex_lab.widgets.form_state.form_message`."""

    _esm = read_module(STATIC / "form_panel.js")
    _css = read_style("tokens", "run_panel", "graph", "form")

    form = traitlets.Dict().tag(sync=True)
    #: Where the steps stand in the picture of a pipeline.
    graph = traitlets.Dict().tag(sync=True)
    #: The last attempt to run that was begun.
    attempt = traitlets.Int(0).tag(sync=True)
    anchor = traitlets.Unicode().tag(sync=True)
