"""The bridge of the run panel to the browser: one trait with the state, custom messages for text and commands.

Imports ipywidgets, so only :mod:`dspex_lab.widgets.run_panel` imports it, and only when a panel is shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from dspex_lab.widgets.subshells import answer_in_any_shell

__all__ = ["RunWidget"]

_STATIC = Path(__file__).parent / "static"


class RunWidget(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget is not followed by mypy
    """A run's panel in the browser; what it shows is :func:`dspex_lab.widgets.panel_state.state_message`."""

    _esm = _STATIC / "run_panel.js"
    _css = _STATIC / "run_panel.css"

    state = traitlets.Dict().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        # ipywidgets counts the views from here on: a panel that nobody looks at any more can be closed.
        super().__init__(_view_count=0, **traits)
        answer_in_any_shell(self.comm)

    @property
    def is_viewed(self) -> bool:
        """Whether at least one front end shows it."""
        return bool(self._view_count)

    def close_when_unseen(self) -> None:
        """Close as soon as no front end shows it: at once, or when the last view goes."""
        if not self.is_viewed:
            self.close()
            return
        self.observe(lambda change: None if change["new"] else self.close(), names="_view_count")
