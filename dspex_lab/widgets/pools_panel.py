"""The panel of the pools: read from the host about once a second, by one who only looks; ordered about by the lab.

Looking starts no host and keeps none alive. A host that has gone is said so, and one that comes back is shown again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dspex_lab.errors import HostUnavailable, LabError
from dspex_lab.lab import Lab
from dspex_lab.widgets.pools_form import pools_html, pools_text
from dspex_lab.widgets.pools_state import pools_message
from dspex_lab.widgets.subject import Subject

__all__ = ["PoolsDesk", "pools_subject"]


def pools_subject(lab: Lab) -> Subject:
    """The pools of the lab's host as the subject of a live panel."""
    desk = PoolsDesk(lab)
    orders: dict[str, Callable[..., Any]] = {
        "resize": desk.resize,
        "restart": desk.restart,
        "start": desk.start,
        "stop_host": desk.stop_host,
        "logs": desk.logs,
    }
    return Subject(
        "pools",
        desk.read,
        pools_html,
        pools_text,
        orders,
        free=frozenset({"logs"}),
        is_settled=lambda state: bool(state.get("is_closed")),
    )


class PoolsDesk:
    """Reads the pools of one lab's host, and gives the orders of the panel's buttons. Values are plain data."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._last: Mapping[str, Any] = pools_message(None)

    def read(self) -> dict[str, Any]:
        """The state as :func:`~dspex_lab.widgets.pools_state.pools_message` makes it. Never raises a ``LabError``:
        what went wrong is its ``trouble``, beside what was known last."""
        if self._lab.is_closed:
            return {**self._last, "trouble": "The lab is closed.", "is_closed": True}
        try:
            state = pools_message(self._lab.observer.ask("status"))
        except LabError as error:
            return {**self._last, "trouble": error.message}
        self._last = state
        return state

    def resize(self, pool: str, size: int) -> None:
        """Change how many workers a pool may have."""
        self._with_host().request("pools.resize", name=pool, size=int(size))

    def restart(self, pool: str) -> int:
        """Replace a pool's workers, each when it has finished its calls; how many."""
        return self._with_host().restart_pool(pool)

    def start(self, pool: str | None = None) -> None:
        """Start a host if there is none, and workers for the pool (None: for those that keep some ready)."""
        self._lab.start(pool)

    def stop_host(self) -> None:
        """End the host with all its workers."""
        self._lab.stop()

    def logs(self) -> dict[str, str]:
        """The end of every log file, by path."""
        return self._lab.logs()

    def _with_host(self) -> Lab:
        """The lab, if it has a host: an order about a pool starts none."""
        if not self._lab.has_host():
            raise HostUnavailable("No pool host runs.", hint="Start it first.")
        return self._lab

    def __repr__(self) -> str:
        return f"<PoolsDesk [{len(self._last['pools'])} pools, {self._lab!r}]>"
