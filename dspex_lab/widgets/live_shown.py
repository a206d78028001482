"""Shows a live panel in the cell, and has the lab keep it: a few stay alive, older ones show what they showed last."""

from __future__ import annotations

from dspex_lab.lab import Lab
from dspex_lab.widgets.live_panel import LivePanel
from dspex_lab.widgets.subject import Subject

__all__ = ["show_live"]


def show_live(lab: Lab, subject: Subject) -> None:
    """Show ``subject`` in the current cell; in a terminal its text, once. Raises what reading it does."""
    panel = LivePanel(subject)
    panel.display()
    if panel.has_widget:
        lab.panels.put(panel)
