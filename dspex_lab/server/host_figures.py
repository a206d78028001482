"""What was last heard of the host, for the server's metrics endpoint, which waits for nobody.

Each look has the host asked anew, for the next one: whoever scrapes every few seconds is told figures that old.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from dspex_lab.server.host_client import HostClient

__all__ = ["HostFigures"]

log = logging.getLogger(__name__)


class HostFigures:
    """The latest status and statistics; lives on the server's event loop."""

    def __init__(self, host: HostClient) -> None:
        self._host = host
        self._status: Mapping[str, Any] | None = None
        self._statistics: Mapping[str, Any] | None = None
        self._asking: asyncio.Task[None] | None = None

    def status(self) -> Mapping[str, Any] | None:
        """What the host last answered to ``status``; None when no host lives."""
        if not self._host.is_there():
            return None
        self.refresh()
        return self._status

    def statistics(self) -> Mapping[str, Any] | None:
        """What the host last answered to ``statistics``; None when no host lives."""
        return self._statistics if self._host.is_there() else None

    def refresh(self) -> None:
        """Have the host asked, unless it is being asked."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())

    async def _ask(self) -> None:
        try:
            self._status, self._statistics = await self._host.status(), await self._host.statistics()
        except Exception:
            log.debug("The host could not be asked for its figures.", exc_info=True)
            self._status = self._statistics = None

    async def aclose(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
