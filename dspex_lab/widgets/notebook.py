"""The one place where panels touch IPython: is there a front end, and put this into the cell."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["has_kernel", "show"]


def has_kernel() -> bool:
    """Whether this is a Jupyter kernel, so that there may be a front end with widgets."""
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def show(bundle: dict[str, Any], *, display_id: str, is_update: bool = False) -> None:
    """Put a MIME bundle into the cell's output, or in the place of the one that was shown under ``display_id``.

    In a terminal its text is written, in a plain Python script too.
    """
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        sys.stdout.write(f"{bundle['text/plain']}\n")
        return
    display(  # type: ignore[no-untyped-call]  # IPython publishes no types for it
        bundle, raw=True, display_id=display_id, update=is_update
    )
