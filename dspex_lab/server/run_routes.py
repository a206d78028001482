"""Routes about runs and traces of all notebooks, out of the trace store."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from tornado import web

from dspex_lab.server.handler import ApiHandler, answers

__all__ = ["RunCancelHandler", "RunHandler", "RunsHandler", "SpanHandler", "TraceHandler", "TracesHandler"]

_MAX_ROWS = 1_000


class RunsHandler(ApiHandler):
    """``GET runs?limit=100``: the latest runs, newest first."""

    @answers
    async def get(self) -> dict[str, Any]:
        return {"runs": await self.api.traces.runs(self.limit(_MAX_ROWS))}


class RunHandler(ApiHandler):
    """``GET runs/ID``: one run, with the state that the run's panel shows."""

    @answers
    async def get(self, run_id: str) -> dict[str, Any]:
        run = await self.api.traces.run(run_id)
        if run is None:
            raise web.HTTPError(HTTPStatus.NOT_FOUND, f"There is no run {run_id}.")
        return run


class RunCancelHandler(ApiHandler):
    """``POST runs/ID/cancel``: the notebooks that were asked to; how the run ends, its own events tell."""

    @answers
    async def post(self, run_id: str) -> dict[str, Any]:
        asked = await self.api.host.order("runs.cancel", run=run_id)
        self.api.feed.hurry()
        return {"asked": asked}


class TracesHandler(ApiHandler):
    """``GET traces?limit=100``: the latest traces, newest first."""

    @answers
    async def get(self) -> dict[str, Any]:
        return {"traces": await self.api.traces.traces(self.limit(_MAX_ROWS))}


class TraceHandler(ApiHandler):
    """``GET traces/ID``: one trace, as its waterfall shows it."""

    @answers
    async def get(self, trace_id: str) -> dict[str, Any]:
        trace = await self.api.traces.trace(trace_id)
        if trace is None:
            raise web.HTTPError(HTTPStatus.NOT_FOUND, f"There is no trace {trace_id}.")
        return trace


class SpanHandler(ApiHandler):
    """``GET traces/ID/spans/ID``: all attributes of one span."""

    @answers
    async def get(self, trace_id: str, span_id: str) -> dict[str, Any]:
        attributes = await self.api.traces.span(trace_id, span_id)
        if attributes is None:
            raise web.HTTPError(HTTPStatus.NOT_FOUND, f"There is no span {span_id}.")
        return {"attributes": attributes}
