"""The Jupyter Server extension, for panels that need no kernel."""

from __future__ import annotations

from typing import Any

__all__ = ["_jupyter_server_extension_points", "_load_jupyter_server_extension"]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "dspex_lab.server"}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Called by Jupyter Server at its start: add the routes."""
    from dspex_lab.server.routes import add_routes

    add_routes(server)
