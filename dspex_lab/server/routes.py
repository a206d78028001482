"""The table of routes under ``/dspex-lab/api``, and how they come into a server."""

from __future__ import annotations

from typing import Any, Final

from jupyter_server.utils import url_path_join
from prometheus_client import REGISTRY

from dspex_lab.server.api import Api, open_api
from dspex_lab.server.editor_routes import CompleteHandler, LintHandler, TemplateHandler, TemplatesHandler
from dspex_lab.server.event_route import EventsHandler
from dspex_lab.server.handler import ApiHandler
from dspex_lab.server.metrics_routes import MetricsHandler, PlotlyHandler
from dspex_lab.server.pool_routes import (
    HostStopHandler,
    LogsHandler,
    PoolOrderHandler,
    PoolsHandler,
    PoolsStartHandler,
    StatusHandler,
)
from dspex_lab.server.run_routes import (
    RunAnswerHandler,
    RunCancelHandler,
    RunHandler,
    RunRerunHandler,
    RunsHandler,
    SpanHandler,
    TraceHandler,
    TracesHandler,
)
from dspex_lab.telemetry.export.prometheus import HostCollector

__all__ = ["ROUTES", "add_routes"]

_ID = r"([\w-]{1,128})"

#: Each route by the pattern of its path.
ROUTES: Final[tuple[tuple[str, type[ApiHandler]], ...]] = (
    ("status", StatusHandler),
    ("pools", PoolsHandler),
    ("pools/start", PoolsStartHandler),
    (rf"pools/{_ID}/(start|resize|restart)", PoolOrderHandler),
    ("host/stop", HostStopHandler),
    ("logs", LogsHandler),
    ("runs", RunsHandler),
    (f"runs/{_ID}", RunHandler),
    (f"runs/{_ID}/cancel", RunCancelHandler),
    (f"runs/{_ID}/answer", RunAnswerHandler),
    (f"runs/{_ID}/rerun", RunRerunHandler),
    ("traces", TracesHandler),
    (f"traces/{_ID}", TraceHandler),
    (f"traces/{_ID}/spans/{_ID}", SpanHandler),
    ("metrics", MetricsHandler),
    ("plotly", PlotlyHandler),
    ("events", EventsHandler),
    ("lint", LintHandler),
    ("complete", CompleteHandler),
    ("templates", TemplatesHandler),
    (f"templates/{_ID}", TemplateHandler),
)


def add_routes(server: Any) -> Api:
    """Put the routes on ``server`` (a ``ServerApp``)."""
    api = open_api()
    base = url_path_join(server.web_app.settings["base_url"], "dspex-lab", "api")
    server.web_app.add_handlers(
        ".*$", [(url_path_join(base, pattern), handler, {"api": api}) for pattern, handler in ROUTES]
    )
    REGISTRY.register(HostCollector(api.figures.status, api.figures.statistics))
    server.io_loop.add_callback(api.figures.refresh)
    server.log.info("DSPex Lab answers under %s", base)
    return api
