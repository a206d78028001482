"""The one place where panels touch IPython: is there a front end, and put this into the cell."""

from __future__ import annotations

import os
import sys
from typing import Any

__all__ = ["anchored", "has_kernel", "needs_widget_output", "show", "widget_view"]


def has_kernel() -> bool:
    """Whether this is a Jupyter kernel, so that there may be a front end with widgets."""
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def needs_widget_output() -> bool:
    """Whether the front end shows widgets only in outputs of their own: VS Code and Colab. Elsewhere a model that lives
    finds its place in the page by itself."""
    return "VSCODE_PID" in os.environ or "google.colab" in sys.modules


def anchored(html: str, anchor: str) -> str:
    """``html`` as the place in which a live view may stand: ``static/attach.js`` looks for the class."""
    return f'<div class="dspex-static dspex-live-{anchor}">{html}</div>'


def widget_view(model_id: str) -> dict[str, Any]:
    """The part of a bundle that shows a widget."""
    model = {"version_major": 2, "version_minor": 0, "model_id": model_id}
    return {"application/vnd.jupyter.widget-view+json": model}


def show(bundle: dict[str, Any], *, display_id: str, is_update: bool = False) -> None:
    """Put a MIME bundle into the cell's output, or in the place of the one that was shown under ``display_id``.

    In a terminal its text is written, in a plain Python script too.
    """
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        sys.stdout.write(f"{bundle['text/plain']}\n")
        return
    display(  # type: ignore[no-untyped-call]  # IPython has no annotations on display()
        bundle, raw=True, display_id=display_id, update=is_update
    )
