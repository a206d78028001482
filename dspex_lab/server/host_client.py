"""The server's line to the pool host: made on demand, made again when it was lost, never a host of its own."""

from __future__ import annotations

from typing import Any

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.errors import HostUnavailable
from dspex_lab.pool.rendezvous import find_host
from dspex_lab.settings import Settings

__all__ = ["HostClient"]


class HostClient:
    """Asks the host of the user who runs the server."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings.create()
        self._backend: KernelBackend | None = None

    async def status(self) -> dict[str, Any] | None:
        """The host's status as plain data, or None when no host lives."""
        if find_host(self._settings.runtime_dir) is None:
            return None
        if self._backend is None:
            self._backend = KernelBackend(self._settings, label="Jupyter Server", role="observer")
        try:
            status: dict[str, Any] = await self._backend.request("status")
        except HostUnavailable:
            if find_host(self._settings.runtime_dir) is None:  # it ended meanwhile
                return None
            raise
        return status

    async def aclose(self) -> None:
        """Leave the host."""
        if self._backend is not None:
            await self._backend.aclose()
            self._backend = None
