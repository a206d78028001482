"""The REST routes under ``/dspex-lab/api``: each asks for authentication, answers JSON and never starts a host."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from dspex_lab.errors import LabError
from dspex_lab.server.host_client import HostClient

__all__ = ["StatusHandler", "add_routes"]


class StatusHandler(APIHandler):
    """``GET status``: the host, its pools and workers; ``{"is_running": false}`` when there is no host."""

    def initialize(self, client: HostClient) -> None:
        self._client = client

    @web.authenticated
    async def get(self) -> None:
        try:
            status = await self._client.status()
        except LabError as error:
            self.set_status(HTTPStatus.SERVICE_UNAVAILABLE)
            await self.finish(json.dumps({"error": error.to_dict()}))
            return
        await self.finish(json.dumps({"is_running": status is not None, "status": status}))


def add_routes(server: Any) -> None:
    """Put the routes on ``server`` (a ``ServerApp``)."""
    client = HostClient()
    base = server.web_app.settings["base_url"]
    path = url_path_join(base, "dspex-lab", "api", "status")
    server.web_app.add_handlers(".*$", [(path, StatusHandler, {"client": client})])
    server.log.info("DSPex Lab answers under %s", url_path_join(base, "dspex-lab", "api"))
