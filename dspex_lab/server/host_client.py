"""The server's line to the pool host: made on demand, made again when it was lost.

It looks, and passes orders on. A host of its own it starts for one order alone: that a pool be started.
"""

from __future__ import annotations

import contextlib
from typing import Any

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.errors import HostUnavailable, ProtocolError
from dspex_lab.pool.processes.rendezvous import find_host
from dspex_lab.settings import Settings

__all__ = ["HostClient"]

_LABEL = "Jupyter Server"


class HostClient:
    """Asks the host of the user who runs the server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._backend: KernelBackend | None = None

    async def status(self) -> dict[str, Any] | None:
        """The host's status as plain data, or None when no host lives."""
        status: dict[str, Any] | None = await self._look("status")
        return status

    async def statistics(self) -> dict[str, Any] | None:
        """What the host counted as plain data, or None when no host lives."""
        statistics: dict[str, Any] | None = await self._look("statistics")
        return statistics

    async def owner(self, run_id: str) -> str | None:
        """The name of the notebook that has the run, also one that is over; None when none is known, or no host
        lives."""
        with contextlib.suppress(ProtocolError):  # one of an older version does not know
            owner: str | None = await self._look("runs.owner", run=run_id)
            return owner
        return None

    async def logs(self) -> dict[str, str]:
        """The last words of the host and its workers by path; none when no host lives."""
        logs: dict[str, str] = await self._look("logs") or {}
        return logs

    async def order(self, method: str, **params: Any) -> Any:
        """Have the living host do something. Raises ``HostUnavailable`` when there is none, and the host's refusal."""
        return await self._observer().request(method, **params)

    async def start(self, pool: str | None = None) -> None:
        """Have ``pool`` (None: every pool with a floor) started, and a host for it where there is none."""
        backend = KernelBackend(self._settings, label=_LABEL)
        try:
            await backend.open()
            names = [pool] if pool else [spec.name for spec in self._settings.pools if spec.min_ready]
            for name in names:
                await backend.request("pools.start", name=name)
        finally:
            await backend.aclose()

    def _observer(self) -> KernelBackend:
        if self._backend is None:
            self._backend = KernelBackend(self._settings, label=_LABEL, role="observer")
        return self._backend

    def is_there(self) -> bool:
        """Whether a host lives; asks nobody."""
        return find_host(self._settings.runtime_dir) is not None

    async def _look(self, question: str, **params: Any) -> Any:
        if not self.is_there():
            return None
        try:
            return await self._observer().request(question, **params)
        except HostUnavailable:
            if not self.is_there():  # it ended meanwhile
                return None
            raise

    async def aclose(self) -> None:
        """Leave the host."""
        if self._backend is not None:
            await self._backend.aclose()
            self._backend = None
