"""Routes about the figures of all calls and runs, and the script that draws them."""

from __future__ import annotations

import asyncio
from typing import Any

from dspex_lab.server.handler import ApiHandler, answers
from dspex_lab.widgets.metrics_state import metrics_message
from dspex_lab.widgets.plotly_script import compressed_script

__all__ = ["MetricsHandler", "PlotlyHandler"]

#: So many of the latest runs can be compared.
_MAX_RUNS = 20
_MAX_AGE_S = 3_600


class MetricsHandler(ApiHandler):
    """``GET metrics``: what the host counted, and the latest runs, as the metrics' panel wants them. Starts no host."""

    @answers
    async def get(self) -> dict[str, Any]:
        runs = await self.api.traces.figures(_MAX_RUNS)
        return metrics_message(await self.api.host.statistics(), runs, now=self.api.clock.now())


class PlotlyHandler(ApiHandler):
    """``GET plotly``: plotly's own script as its Python package brings it along, compressed by gzip; 400 when that is
    not installed."""

    @answers
    async def get(self) -> None:
        script = await asyncio.to_thread(compressed_script)
        self.set_header("Cache-Control", f"private, max-age={_MAX_AGE_S}")
        await self.finish(script, set_content_type="application/gzip")
