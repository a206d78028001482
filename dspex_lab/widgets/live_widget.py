"""The bridge of a live panel to the browser: one trait with the state, custom messages for orders and replies.

Imports ipywidgets, so only :mod:`dspex_lab.widgets.live_panel` imports it, and only when a panel is shown.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from dspex_lab.widgets.modules import STATIC, read_module, read_style
from dspex_lab.widgets.widget import Widget

__all__ = ["LiveWidget", "make_widget"]


class LiveWidget(Widget):
    """A panel in the browser; :func:`make_widget` gives it its module and its styles."""


def make_widget(name: str, state: Mapping[str, Any]) -> LiveWidget:
    """The widget of the subject called ``name``: of ``static/NAME_panel.js``, with ``NAME_view.css``."""
    made: LiveWidget = _class_of(name)(state=dict(state))
    return made


@functools.cache
def _class_of(name: str) -> type[LiveWidget]:
    # anywidget takes its module and styles from the class.
    parts = {"_esm": read_module(STATIC / f"{name}_panel.js"), "_css": read_style("tokens", "panel", f"{name}_view")}
    return type(f"{name.title()}Widget", (LiveWidget,), parts)
