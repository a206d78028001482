"""The collector: counts by operation, pool and route, bounded, from any thread."""

from __future__ import annotations

import threading

import pytest

from dspex_lab.calls import Usage
from dspex_lab.telemetry.collector import Collector
from dspex_lab.telemetry.events import EventHub
from dspex_lab.testing import FakeClock


def test_series_are_told_apart_and_summed_up() -> None:
    """Each operation, pool and route has its own figures; the total is their sum."""
    collector = Collector(FakeClock(start=5.0))
    collector.record("predict", 1.0, pool="general", route="python", usage=Usage(10, 2, 0.5, 1))
    collector.record("predict", 3.0, pool="general", route="python", is_error=True)
    collector.record("predict", 0.001, route="native", is_cache_hit=True, usage=Usage(1, 1))
    now = collector.statistics()
    native, python = now.series
    assert (native.route, native.calls, native.cache_hits, native.errors) == ("native", 1, 1, 0)
    assert (python.route, python.calls, python.error_rate, python.latency.max_s) == ("python", 2, 0.5, 3.0)
    assert (now.total.calls, now.total.errors, now.total.latency.count, now.since) == (3, 1, 3, 5.0)
    assert now.total.usage == Usage(11, 3, 0.5, 1)
    assert now.of("predict") == now.series


def test_events_of_a_hub_are_counted() -> None:
    """Attached to a hub, it counts every event, and the calls among them."""
    hub, collector = EventHub(), Collector()
    hub.on("*", collector.observe)
    hub.emit("cache.hit")
    hub.emit("cache.hit")
    hub.emit("python.execute", operation="dspy.predict", pool="general", run_s=0.2, usage=Usage(3, 4))
    hub.emit("native.execute", operation="validate", duration_s=0.001)
    now = collector.statistics()
    assert now.events == {"cache.hit": 2, "python.execute": 1, "native.execute": 1}
    assert [(one.operation, one.route, one.calls) for one in now.series] == [
        ("dspy.predict", "python", 1),
        ("validate", "native", 1),
    ]
    assert now.total.usage == Usage(3, 4)


def test_what_is_observed_is_counted_before_anybody_looks() -> None:
    """Events beyond any number that waits to be counted, from many threads: all of them are in the figures."""
    hub, collector = EventHub(), Collector()
    hub.on("*", collector.observe)

    def work() -> None:
        for _ in range(1_000):
            hub.emit("native.execute", operation="add", duration_s=0.001)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = collector.statistics()
    assert (now.events, now.total.calls) == ({"native.execute": 8_000}, 8_000)


def test_an_event_whose_duration_is_none_is_counted_by_its_name_only() -> None:
    """A figure that is no number of seconds breaks no statistics."""
    hub, collector = EventHub(), Collector()
    hub.on("*", collector.observe)
    hub.emit("native.execute", operation="add", duration_s=float("nan"))
    now = collector.statistics()
    assert (now.events, now.total.calls) == ({"native.execute": 1}, 0)


def test_the_number_of_series_is_bounded() -> None:
    """Names without end are counted together once the bound is reached."""
    collector = Collector(max_series=10)
    for number in range(100):
        collector.record(f"op{number}", 0.1)
    now = collector.statistics()
    assert (len(now.series), now.total.calls, now.of("(other)")[0].calls) == (11, 100, 90)


def test_threads_lose_no_count() -> None:
    """16 threads with 500 calls each: 8,000 are counted, with their tokens."""
    collector = Collector()

    def work() -> None:
        for _ in range(500):
            collector.record("chat", 0.01, usage=Usage(2, 1, None, 1))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = collector.statistics().total
    assert (total.calls, total.usage) == (8_000, Usage(16_000, 8_000, None, 8_000))


def test_a_snapshot_does_not_change_afterwards() -> None:
    """What was handed out is frozen, the counts by name included."""
    collector = Collector()
    collector.record("a", 1.0)
    before = collector.statistics()
    collector.record("a", 1.0)
    assert before.total.calls == 1
    with pytest.raises(TypeError):
        before.events["x"] = 1  # type: ignore[index]


def test_reset_forgets_and_the_repr_says_so() -> None:
    """After reset there is nothing, in one line."""
    collector = Collector()
    collector.record("a", 1.0, is_error=True)
    assert repr(collector) == "<Collector [series: 1, calls: 1, errors: 1]>"
    collector.reset()
    assert repr(collector) == "<Collector [series: 0, calls: 0, errors: 0]>"
