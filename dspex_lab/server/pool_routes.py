"""Routes about the host and its pools: what they are, and orders to them."""

from __future__ import annotations

from typing import Any

from dspex_lab.server.handler import ApiHandler, answers
from dspex_lab.widgets.pools_state import pools_message

__all__ = ["HostStopHandler", "LogsHandler", "PoolOrderHandler", "PoolsHandler", "PoolsStartHandler", "StatusHandler"]


class StatusHandler(ApiHandler):
    """``GET status``: the host, its pools and workers; ``{"is_running": false}`` when there is no host."""

    @answers
    async def get(self) -> dict[str, Any]:
        status = await self.api.host.status()
        return {"is_running": status is not None, "status": status}


class PoolsHandler(ApiHandler):
    """``GET pools``: the same as the pools' panel wants it."""

    @answers
    async def get(self) -> dict[str, Any]:
        return pools_message(await self.api.host.status())


class PoolsStartHandler(ApiHandler):
    """``POST pools/start``: start the host, and every pool that keeps workers ready."""

    @answers
    async def post(self) -> dict[str, Any]:
        await self.api.host.start()
        self.api.feed.hurry()
        return {}


class PoolOrderHandler(ApiHandler):
    """``POST pools/NAME/start|resize|restart``. Only ``start`` starts a host where there is none."""

    @answers
    async def post(self, name: str, order: str) -> dict[str, Any]:
        host = self.api.host
        if order == "start":
            await host.start(name)
        elif order == "resize":
            await host.order("pools.resize", name=name, size=self.taken("size", int))
        else:
            await host.order("pools.restart", name=name)
        self.api.feed.hurry()
        return {}


class HostStopHandler(ApiHandler):
    """``POST host/stop``: end the host with all its workers; well done when there is none."""

    @answers
    async def post(self) -> dict[str, Any]:
        if await self.api.host.status() is not None:
            await self.api.host.order("stop")
        self.api.feed.hurry()
        return {}


class LogsHandler(ApiHandler):
    """``GET logs``: the last words of the host and its workers, by path."""

    @answers
    async def get(self) -> dict[str, Any]:
        return {"logs": await self.api.host.logs()}
