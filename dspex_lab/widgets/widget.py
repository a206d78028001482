"""What the widgets of all panels are: heard while a cell runs, and gone with their comms when they are closed.

Imports ipywidgets: imported by the bridges of the panels only, when one is shown.
"""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

from dspex_lab.widgets.subshells import answer_in_any_shell

__all__ = ["Widget"]


class Widget(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget publishes no types: its class is Any to mypy
    """A widget with a ``state``; its module and its styles are its subclass's."""

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
