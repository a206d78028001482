"""``%lab panel``: the live panels, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dspex_lab.errors import ConfigurationError
from dspex_lab.errors.nearest import did_you_mean
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
            raise ConfigurationError(
                f"There is no panel {given!r}." if given else "Which panel?",
                "%lab panel",
                "pools, metrics, or trace and an id",
                given,
                hint=did_you_mean(given, PANELS, "%lab panel pools, metrics, or trace [ID].", form="%lab panel {}"),
            )
