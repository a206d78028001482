"""One poller for everybody who listens: what changed is told to each, and with nobody there nothing is asked.

A topic's newest value takes the place of one that a slow listener has not taken yet: what waits is bounded by the
number of topics. Knows nothing of HTTP, hosts or files.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from dspex_lab.clock import Clock

__all__ = ["Feed", "FeedFull", "FeedStatistics", "Listener", "Source"]

log = logging.getLogger(__name__)

#: The value of a topic now, as plain data.
Source = Callable[[], Awaitable[Any]]
#: A source that is slow twice is asked so much less often that it takes no more than this part of the time. Once is no
#: reason to look away: a line was made, or a host had ended.
_MAX_SHARE = 0.1


class FeedFull(Exception):
    """So many listen that no more are taken."""


@dataclass(frozen=True, slots=True)
class FeedStatistics:
    """How many listen, how often the sources were asked, and how many values were handed out."""

    listeners: int
    polls: int
    told: int


class Listener:
    """Somebody who wants to know of ``topics``. Close it, or use it with ``with``."""

    def __init__(self, topics: frozenset[str], leave: Callable[[Listener], None]) -> None:
        self.topics = topics
        self._leave = leave
        self._waiting: dict[str, bytes] = {}
        self._wakeup = asyncio.Event()

    def put(self, topic: str, value: bytes) -> None:
        """Have ``value`` taken next, in place of an older one."""
        self._waiting[topic] = value
        self._wakeup.set()

    async def take(self) -> dict[str, bytes]:
        """What is new by topic, as JSON; waits until there is something."""
        await self._wakeup.wait()
        self._wakeup.clear()
        taken, self._waiting = self._waiting, {}
        return taken

    def close(self) -> None:
        """Listen no more. Safe to call twice."""
        self._leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Feed:
    """Asks ``sources`` every ``interval_s`` while somebody listens, and tells what is not as it was."""

    def __init__(
        self, sources: Mapping[str, Source], clock: Clock, *, interval_s: float = 1.0, max_listeners: int = 64
    ) -> None:
        self._sources = dict(sources)
        self._clock = clock
        self._interval_s = interval_s
        self._max_listeners = max_listeners
        self._listeners: set[Listener] = set()
        self._known: dict[str, bytes] = {}
        self._due_at: dict[str, float] = {}
        self._took_s: dict[str, float] = {}
        self._polling: asyncio.Task[None] | None = None
        self._polls = self._told = 0

    @property
    def topics(self) -> Collection[str]:
        """What can be listened to."""
        return self._sources.keys()

    def listen(self, topics: Collection[str]) -> Listener:
        """From now on be told of ``topics``, beginning with what is known of them. Raises ``FeedFull``."""
        if len(self._listeners) >= self._max_listeners:
            raise FeedFull
        listener = Listener(frozenset(topics) & self._sources.keys(), self._leave)
        self._listeners.add(listener)
        for topic in listener.topics & self._known.keys():
            listener.put(topic, self._known[topic])
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        return listener

    def hurry(self) -> None:
        """Something was ordered: ask again at once, not only when the time has come."""
        if self._listeners and self._polling is not None:
            self._polling.cancel()
            self._due_at.clear()
            self._polling = asyncio.create_task(self._poll())

    def statistics(self) -> FeedStatistics:
        return FeedStatistics(len(self._listeners), self._polls, self._told)

    async def aclose(self) -> None:
        """Ask no more."""
        if self._polling is not None:
            self._polling.cancel()

    def _leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners and self._polling is not None:
            self._polling.cancel()
            self._polling = None
            # What was known grows old from now on; whoever comes next is told what is.
            self._known.clear()
            self._due_at.clear()

    async def _poll(self) -> None:
        while True:
            wanted = frozenset[str]().union(*(one.topics for one in self._listeners))
            now = self._clock.monotonic()
            due = [topic for topic in self._sources if topic in wanted and self._due_at.get(topic, now) <= now]
            await asyncio.gather(*map(self._ask, due))
            await self._clock.sleep(self._interval_s)

    async def _ask(self, topic: str) -> None:
        began = self._clock.monotonic()
        self._polls += 1
        try:
            value = msgspec.json.encode(await self._sources[topic]())
        except Exception:
            log.warning("The topic %s could not be read.", topic, exc_info=True)
            return
        finally:
            before_s, took_s = self._took_s.get(topic, 0.0), self._clock.monotonic() - began
            self._took_s[topic] = took_s
            self._due_at[topic] = began + min(before_s, took_s) / _MAX_SHARE
        if self._known.get(topic) == value:
            return
        self._known[topic] = value
        for listener in self._listeners:
            if topic in listener.topics:
                self._told += 1
                listener.put(topic, value)

    def __repr__(self) -> str:
        return f"<Feed [listeners: {len(self._listeners)}, topics: {', '.join(self._sources)}]>"
