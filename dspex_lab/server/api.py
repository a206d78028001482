"""What the routes share: one line to the host, one look into the trace file, one poller, one limit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import LabError
from dspex_lab.server.feed import Feed
from dspex_lab.server.host_client import HostClient
from dspex_lab.server.host_figures import HostFigures
from dspex_lab.server.limits import RateLimit, RateLimiter
from dspex_lab.server.trace_file import TraceFile
from dspex_lab.settings import Settings
from dspex_lab.widgets.pools_state import pools_message

__all__ = ["LIST_LENGTH", "Api", "open_api"]

#: So many of the latest runs and traces are told without being asked for more.
LIST_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Api:
    """Everything that a route may ask."""

    host: HostClient
    figures: HostFigures
    traces: TraceFile
    feed: Feed
    limiter: RateLimiter
    clock: Clock

    async def aclose(self) -> None:
        """Let go of everything. Safe to call twice."""
        await self.feed.aclose()
        await self.figures.aclose()
        await self.host.aclose()
        await self.traces.aclose()


def open_api(settings: Settings | None = None, *, clock: Clock | None = None, limit: RateLimit | None = None) -> Api:
    """For the user whose ``settings`` (None: those of the environment) they are. Nothing is opened or asked yet."""
    settings, clock = settings or Settings.create(), clock or SystemClock()
    host, traces = HostClient(settings), TraceFile(settings.trace_file, clock)

    async def pools() -> dict[str, Any]:
        return pools_message(await host.status())

    async def runs() -> dict[str, Any]:
        return {"runs": await traces.runs(LIST_LENGTH)}

    async def latest_traces() -> dict[str, Any]:
        return {"traces": await traces.traces(LIST_LENGTH)}

    sources = {"pools": _told(pools), "runs": _told(runs), "traces": _told(latest_traces)}
    return Api(host, HostFigures(host), traces, Feed(sources, clock), RateLimiter(limit or RateLimit(), clock), clock)


def _told(
    source: Callable[[], Coroutine[Any, Any, dict[str, Any]]],
) -> Callable[[], Coroutine[Any, Any, dict[str, Any]]]:
    """``source``, with what goes wrong told in place of its value: a panel has to say something."""

    async def ask() -> dict[str, Any]:
        try:
            return {**await source(), "problem": ""}
        except LabError as error:
            return {"problem": str(error)}
        except (OSError, sqlite3.Error) as error:
            return {"problem": f"The traces cannot be read: {error}."}

    return ask
