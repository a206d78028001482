"""``GET events``: server-sent events about pools, runs and traces, as long as the page is open."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from tornado import web
from tornado.iostream import StreamClosedError

from dspex_lab.server.feed import FeedFull, Listener
from dspex_lab.server.handler import ApiHandler, answers

__all__ = ["EventsHandler"]

#: Something is written at least so often, in seconds, so that proxies keep the line and both ends notice its end.
_HEARTBEAT_S = 15.0
_FULL_WAIT_S = 30.0
_HEARTBEAT = b": still here\n\n"


class EventsHandler(ApiHandler):
    """``GET events?topics=pools,runs,traces``: each topic's value now, and again whenever it is another one."""

    @answers
    async def get(self) -> None:
        known = self.api.feed.topics
        topics = self.get_query_argument("topics", ",".join(known)).split(",")
        if unknown := sorted(set(topics) - set(known)):
            raise web.HTTPError(HTTPStatus.BAD_REQUEST, f"There is no topic {unknown[0]!r}.")
        try:
            listener = self.api.feed.listen(topics)
        except FeedFull:
            await self.refuse("Too many pages listen.", _FULL_WAIT_S)
            return
        self._listener = listener
        with listener:
            await self._tell(listener)

    async def _tell(self, listener: Listener) -> None:
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")
        try:
            # At once, so that the page knows that it is listened to.
            self.write(_HEARTBEAT)
            await self.flush()
            while True:
                try:
                    async with asyncio.timeout(_HEARTBEAT_S):
                        news = await listener.take()
                except TimeoutError:
                    self.write(_HEARTBEAT)
                else:
                    for topic, value in news.items():
                        self.write(b"event: %b\ndata: %b\n\n" % (topic.encode(), value))
                await self.flush()
        except StreamClosedError:
            pass

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if (listener := getattr(self, "_listener", None)) is not None:
            listener.close()
