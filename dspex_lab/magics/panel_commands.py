"""``%lab panel``: the live panels, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from dspex_lab.errors import ConfigurationError
from dspex_lab.widgets import show_metrics, show_pools, show_trace

__all__ = ["PANELS", "show_panel"]

#: Each shows itself in the cell.
PANELS: Mapping[str, Callable[..., None]] = {"pools": show_pools, "metrics": show_metrics, "trace": show_trace}


def show_panel(*arguments: str) -> Any:
    """Show the panel that is named, a trace by the beginning of its id. Raises ``ConfigurationError``."""
    match arguments:
        case ("trace", trace_id):
            show_trace(trace_id)
        case (name,) if name in PANELS:
            PANELS[name]()
        case _:
            given = " ".join(arguments)
            near = get_close_matches(arguments[0], PANELS, n=1) if arguments else []
            raise ConfigurationError(
                f"There is no panel {given!r}." if given else "Which panel?",
                "%lab panel",
                "pools, metrics, or trace and an id",
                given,
                hint=f"Did you mean %lab panel {near[0]}?" if near else "%lab panel pools, metrics, or trace [ID].",
            )
