"""Routes about runs and traces of all notebooks, out of the trace store."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from tornado import web

from dspex_lab.server.handler import ApiHandler, answers

__all__ = [
    "RunAnswerHandler",
    "RunCancelHandler",
    "RunHandler",
    "RunRerunHandler",
    "RunsHandler",
    "SpanHandler",
    "TraceHandler",
    "TracesHandler",
]

_MAX_ROWS = 1_000


class RunsHandler(ApiHandler):
    """``GET runs?limit=100``: the latest runs, newest first."""

    @answers
    async def get(self) -> dict[str, Any]:
        return {"runs": await self.api.traces.runs(self.limit(_MAX_ROWS))}


class RunHandler(ApiHandler):
    """``GET runs/ID``: one run, with the state that the run's panel shows; ``notebook`` is the name of the one that has
    it, in which its steps can be run again, or None."""

    @answers
    async def get(self, run_id: str) -> dict[str, Any]:
        notebook = await self.api.host.owner(run_id)
        run = await self.api.traces.run(run_id, has_notebook=notebook is not None)
        if run is None:
            raise web.HTTPError(HTTPStatus.NOT_FOUND, f"There is no run {run_id}.")
        return {**run, "notebook": notebook}


class RunCancelHandler(ApiHandler):
    """``POST runs/ID/cancel``: the notebooks that were asked to; how the run ends, its own events tell."""

    @answers
    async def post(self, run_id: str) -> dict[str, Any]:
        asked = await self.api.host.order("runs.cancel", run=run_id)
        self.api.feed.hurry()
        return {"asked": asked}


class RunAnswerHandler(ApiHandler):
    """``POST runs/ID/answer {"question": id, "values": {field: what was typed}}``: the notebook that has the run checks
    them; 400 with the faults by field when they are no answer, 409 when nothing is asked any more."""

    @answers
    async def post(self, run_id: str) -> dict[str, Any]:
        question, values = self.taken("question", str), self.taken("values", dict)
        await self.api.host.order("runs.answer", run=run_id, question=question, values=values)
        self.api.feed.hurry()
        return {}


class RunRerunHandler(ApiHandler):
    """``POST runs/ID/rerun {"step": name}``: begin a run that is over again from the step on, in its notebook; the new
    run's id."""

    @answers
    async def post(self, run_id: str) -> dict[str, Any]:
        begun = await self.api.host.order("runs.rerun", run=run_id, step=self.taken("step", str))
        self.api.feed.hurry()
        return {"run_id": begun}


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
