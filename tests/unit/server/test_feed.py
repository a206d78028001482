"""The one poller: asks while somebody listens, and tells what is another than it was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dspex_lab.server.feed import Feed, FeedFull, Listener
from dspex_lab.testing import FakeClock


class Source:
    """A topic whose value the test sets; counts how often it was asked, and takes as long as it is told."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.value: Any = 1
        self.asked = 0
        self.takes_s = 0.0

    async def __call__(self) -> Any:
        self.asked += 1
        await self._clock.sleep(self.takes_s)
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pools(clock: FakeClock) -> Source:
    return Source(clock)


@pytest.fixture
def runs(clock: FakeClock) -> Source:
    return Source(clock)


@pytest.fixture
async def feed(clock: FakeClock, pools: Source, runs: Source) -> AsyncIterator[Feed]:
    made = Feed({"pools": pools, "runs": runs}, clock, max_listeners=3)
    yield made
    await made.aclose()


async def news(listener: Listener) -> dict[str, Any]:
    """What waits now; nothing when nothing does."""
    taking = asyncio.ensure_future(listener.take())
    for _ in range(5):
        await asyncio.sleep(0)
    if not taking.done():
        taking.cancel()
        return {}
    return {topic: json.loads(value) for topic, value in taking.result().items()}


async def test_with_nobody_there_nothing_is_asked(feed: Feed, clock: FakeClock, pools: Source) -> None:
    """Neither before somebody listens nor after the last one left."""
    await clock.run_for(10)
    with feed.listen(["pools"]):
        await clock.run_for(2.5)
    asked = pools.asked
    await clock.run_for(10)
    assert (asked, pools.asked) == (3, 3)


async def test_many_listeners_cost_what_one_costs(feed: Feed, clock: FakeClock, pools: Source) -> None:
    """Each is told, and the source is asked once for all."""
    listeners = [feed.listen(["pools"]) for _ in range(3)]
    await clock.run_for(2.5)
    assert pools.asked == 3
    assert [await news(one) for one in listeners] == [{"pools": 1}] * 3


async def test_what_stays_the_same_is_told_once(feed: Feed, clock: FakeClock, pools: Source) -> None:
    """And again when it is another."""
    listener = feed.listen(["pools"])
    await clock.run_for(1.5)
    assert await news(listener) == {"pools": 1}
    await clock.run_for(5)
    assert await news(listener) == {}
    pools.value = 2
    await clock.run_for(1)
    assert await news(listener) == {"pools": 2}


async def test_who_comes_late_is_told_what_is_known(feed: Feed, clock: FakeClock) -> None:
    """At once, without waiting for a change."""
    feed.listen(["pools", "runs"])
    await clock.run_for(0.5)
    assert await news(feed.listen(["pools"])) == {"pools": 1}


async def test_a_slow_listener_has_the_newest_value_and_no_more(feed: Feed, clock: FakeClock, pools: Source) -> None:
    """What it did not take in time is gone: nothing grows."""
    listener = feed.listen(["pools"])
    for value in range(100):
        pools.value = value
        await clock.run_for(1)
    assert await news(listener) == {"pools": 99}


async def test_only_topics_that_somebody_wants_are_asked(
    feed: Feed, clock: FakeClock, pools: Source, runs: Source
) -> None:
    """A status bar alone does not have the disk read."""
    feed.listen(["pools"])
    await clock.run_for(2.5)
    assert (pools.asked, runs.asked) == (3, 0)


async def test_a_slow_source_is_asked_less_often(feed: Feed, clock: FakeClock, pools: Source, runs: Source) -> None:
    """One that takes 2 s is asked every 20 s and more."""
    runs.takes_s = 2.0
    feed.listen(["pools", "runs"])
    await clock.run_for(60)
    assert runs.asked <= 4
    assert pools.asked > 40


async def test_a_source_that_was_slow_once_is_asked_as_before(feed: Feed, clock: FakeClock, pools: Source) -> None:
    """What the first look takes, or one at a host that had ended, says nothing of the next."""
    pools.takes_s = 6.0
    listener = feed.listen(["pools"])
    await clock.run_for(6.5)
    await news(listener)
    pools.takes_s, pools.value = 0.0, 2
    await clock.run_for(2)
    assert await news(listener) == {"pools": 2}


async def test_a_source_that_fails_ends_nothing(feed: Feed, clock: FakeClock, pools: Source) -> None:
    """The others are told, and it is asked again."""
    pools.value = OSError("no disk")
    listener = feed.listen(["pools", "runs"])
    await clock.run_for(1.5)
    assert await news(listener) == {"runs": 1}
    pools.value = 2
    await clock.run_for(1)
    assert await news(listener) == {"pools": 2}


async def test_an_order_has_the_sources_asked_at_once(feed: Feed, clock: FakeClock, pools: Source) -> None:
    """Nobody waits for the next turn to see what they did."""
    listener = feed.listen(["pools"])
    await clock.run_for(0.5)
    await news(listener)
    pools.value = 2
    feed.hurry()
    await clock.settle()
    assert await news(listener) == {"pools": 2}
    await clock.run_for(3)
    assert pools.asked == 5


async def test_no_more_than_so_many_listen(feed: Feed) -> None:
    """The fourth is refused, until one leaves."""
    listeners = [feed.listen(["pools"]) for _ in range(3)]
    with pytest.raises(FeedFull):
        feed.listen(["pools"])
    listeners[0].close()
    listeners[0].close()
    feed.listen(["pools"])
    assert feed.statistics().listeners == 3
