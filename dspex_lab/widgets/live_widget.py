"""The bridge of a live panel to the browser: one trait with the state, custom messages for orders and replies.

Imports ipywidgets, so only :mod:`dspex_lab.widgets.live_panel` imports it, and only when a panel is shown.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets

from dspex_lab.widgets.modules import STATIC, read_module, read_style
from dspex_lab.widgets.subshells import answer_in_any_shell

__all__ = ["LiveWidget", "make_widget"]


class LiveWidget(anywidget.AnyWidget):  # type: ignore[misc]  # a class of anywidget's, which has no py.typed, is Any to mypy
    """A panel in the browser; :func:`make_widget` gives it its module and its styles."""

    state = traitlets.Dict().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        #: Whether the page is heard while a cell runs.
        self.is_heard_always = answer_in_any_shell(self.comm)

    def close(self) -> None:
        """Close the comm, and the one of the layout that ipywidgets gives to every widget."""
        if self.comm is not None:
            self.layout.close()
        super().close()


def make_widget(name: str, state: Mapping[str, Any]) -> LiveWidget:
    """The widget of the subject called ``name``: of ``static/NAME_panel.js``, with ``NAME_view.css``."""
    made: LiveWidget = _class_of(name)(state=dict(state))
    return made


@functools.cache
def _class_of(name: str) -> type[LiveWidget]:
    # anywidget takes its module and styles from the class.
    parts = {"_esm": read_module(STATIC / f"{name}_panel.js"), "_css": read_style("tokens", "panel", f"{name}_view")}
    return type(f"{name.title()}Widget", (LiveWidget,), parts)
