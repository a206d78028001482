"""What every cache promises, held against the one in memory and the one on disk; then what only the latter does."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dspex_lab.cache import Cache, DiskCache, MemoryCache
from dspex_lab.cache.base import BaseCache
from dspex_lab.errors import Cancelled
from dspex_lab.testing import FakeClock

MakeCache = Callable[..., BaseCache]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "disk"])
def make(request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path) -> Iterator[MakeCache]:
    made: list[BaseCache] = []

    def make_one(**options: Any) -> BaseCache:
        if request.param == "memory":
            made.append(MemoryCache(clock, **options))
        else:
            made.append(DiskCache(tmp_path / f"cache{len(made)}.sqlite", clock, **options))
        return made[-1]

    yield make_one
    for cache in made:
        cache.close()


@pytest.fixture
def cache(make: MakeCache) -> BaseCache:
    return make()


def test_both_are_caches(cache: BaseCache) -> None:
    """Each satisfies the Protocol, as mypy sees here."""
    as_protocol: Cache = cache
    assert as_protocol.get("absent") is None


def test_what_was_put_is_got_with_its_age(cache: BaseCache, clock: FakeClock) -> None:
    """The value equals the one that was put; None is a value like any other."""
    value = {"text": "é", "list": [1, 2.5, None, True, b"x"], "nested": {"a": {}}}
    assert cache.put("key", value)
    assert cache.put("none", None)
    clock.advance(3)
    found, none = cache.get("key"), cache.get("none")
    assert found is not None
    assert none is not None
    assert (found.value, found.age_s, none.value) == (value, 3.0, None)


def test_nobody_changes_what_others_get(cache: BaseCache) -> None:
    """Neither the value that was put nor one that was got is the cache's own."""
    value = {"list": [1]}
    cache.put("key", value)
    value["list"].append(2)
    first = cache.get("key")
    assert first is not None
    first.value["list"].append(3)
    second = cache.get("key")
    assert second is not None
    assert second.value == {"list": [1]}


def test_an_entry_lives_as_long_as_it_is_said(make: MakeCache, clock: FakeClock) -> None:
    """The cache's own time to live, or the entry's; gone at the very second."""
    cache = make(ttl_s=10)
    cache.put("own", 1)
    cache.put("longer", 2, ttl_s=20)
    clock.advance(9.5)
    assert cache.get("own") is not None
    clock.advance(0.5)
    assert cache.get("own") is None
    assert cache.get("longer") is not None
    assert cache.statistics().expired == 1


def test_the_least_recently_used_goes_first(make: MakeCache) -> None:
    """A look-up counts as use, and so does being put again."""
    cache = make(max_entries=3)
    for key in "abc":
        cache.put(key, key)
    cache.get("a")
    cache.put("b", "again")
    cache.put("d", "d")
    assert [key for key in "abcd" if cache.get(key)] == ["a", "b", "d"]
    assert (cache.statistics().evicted, cache.statistics().entries) == (1, 3)


def test_delete_and_clear(cache: BaseCache) -> None:
    """Deleting says whether it was there; after clear nothing is."""
    cache.put("a", 1)
    cache.put("b", 1)
    assert (cache.delete("a"), cache.delete("a")) == (True, False)
    cache.clear()
    assert cache.get("b") is None


def test_statistics_and_repr(cache: BaseCache) -> None:
    """Everything is counted, in one line."""
    cache.put("a", 1)
    cache.get("a")
    cache.get("b")
    now = cache.statistics()
    assert (now.entries, now.hits, now.misses, now.stored, now.hit_rate) == (1, 1, 1, 1, 0.5)
    assert repr(cache).startswith(f"<{type(cache).__name__} [entries: 1/")
    assert repr(cache).endswith("hits: 1, misses: 1, in flight: 0]>")


def test_closing_twice_is_fine(cache: BaseCache) -> None:
    """And a closed cache misses."""
    cache.close()
    cache.close()
    assert cache.get("a") is None


class Producer:
    """A producer that the test lets finish, or fail."""

    def __init__(self) -> None:
        self.calls = 0
        self.cancelled = 0
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> Any:
        self.calls += 1
        try:
            return await asyncio.shield(self.done)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_callers_at_the_same_time_share_one_producer(cache: BaseCache) -> None:
    """20 callers, one call, one value; each has a copy of its own. The next one hits."""
    producer = Producer()
    tasks = [asyncio.create_task(cache.fetch("k", producer)) for _ in range(20)]
    await turns()
    producer.done.set_result({"x": [1]})
    fetched = await asyncio.gather(*tasks)
    assert (producer.calls, [one.origin for one in fetched].count("produced")) == (1, 1)
    assert cache.statistics().shared == 19
    fetched[5].value["x"].append(2)
    assert await cache.single_flight("k", producer) == {"x": [1]}
    assert (await cache.fetch("k", producer)).origin == "hit"


async def test_keys_do_not_wait_for_one_another(cache: BaseCache) -> None:
    """A slow producer of one key holds up no other key."""
    slow = asyncio.create_task(cache.single_flight("slow", Producer()))
    quick = Producer()
    quick.done.set_result(1)
    assert await cache.single_flight("quick", quick) == 1
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)


async def test_an_error_reaches_all_and_is_not_kept(cache: BaseCache) -> None:
    """Who waits gets the error; who comes later asks anew."""
    failing, fine = Producer(), Producer()
    tasks = [asyncio.create_task(cache.single_flight("k", failing)) for _ in range(3)]
    await turns()
    failing.done.set_exception(ValueError("no"))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [ValueError] * 3
    fine.done.set_result(2)
    assert await cache.single_flight("k", fine) == 2


@pytest.mark.parametrize("leaves", [0, 1])
async def test_one_who_is_cancelled_leaves_the_others_alone(cache: BaseCache, leaves: int) -> None:
    """Also when it is the first one, in whose name the producer runs."""
    producer = Producer()
    tasks = [asyncio.create_task(cache.single_flight("k", producer)) for _ in range(3)]
    await turns()
    tasks[leaves].cancel()
    await turns()
    producer.done.set_result(7)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results.pop(leaves), asyncio.CancelledError)
    assert (results, producer.calls, producer.cancelled) == ([7, 7], 1, 0)


async def test_the_last_one_to_go_cancels_the_producer(cache: BaseCache) -> None:
    """Nothing runs on for nobody, and a new caller begins anew."""
    producer, again = Producer(), Producer()
    tasks = [asyncio.create_task(cache.single_flight("k", producer)) for _ in range(2)]
    await turns()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    again.done.set_result(1)
    assert await cache.single_flight("k", again) == 1
    await turns()
    assert producer.cancelled == 1
    assert repr(cache).endswith("in flight: 0]>")


async def test_a_producer_that_is_cancelled_itself_is_told_apart(cache: BaseCache) -> None:
    """Who waits and was not cancelled gets the house's own error."""

    async def stopped() -> None:
        raise asyncio.CancelledError

    with pytest.raises(Cancelled):
        await cache.single_flight("k", stopped)


async def test_what_cannot_be_kept_is_still_handed_out(cache: BaseCache) -> None:
    """A value that no cache can hold goes to who asked for it."""
    waiting = (item for item in [1])  # a generator: not to be copied, not plain data

    async def produce() -> Any:
        return waiting

    assert (await cache.fetch("k", produce)).value is waiting
    assert cache.statistics().rejected == 1


def test_a_cache_of_nothing_is_refused(make: MakeCache) -> None:
    """At least one entry."""
    with pytest.raises(ValueError, match="at least one"):
        make(max_entries=0)


def test_the_disk_keeps_it_over_a_restart(tmp_path: Path, clock: FakeClock) -> None:
    """The next process finds values, their age, and the order of their use."""
    path = tmp_path / "c.sqlite"
    with DiskCache(path, clock) as cache:
        cache.put("a", 1)
        cache.put("b", 2)
        cache.get("a")
    clock.advance(60)
    with DiskCache(path, clock, max_entries=2) as cache:
        cache.put("c", 3)
        found = cache.get("a")
        assert found is not None
        assert (found.age_s, cache.get("b")) == (60.0, None)


def test_two_processes_share_a_file(tmp_path: Path) -> None:
    """What another process put is there at once."""
    code = (
        "import sys, pathlib\n"
        "from dspex_lab.cache import DiskCache\n"
        "with DiskCache(pathlib.Path(sys.argv[1])) as cache: cache.put('k', [1])\n"
    )
    path = tmp_path / "c.sqlite"
    with DiskCache(path) as cache:
        assert cache.get("k") is None
        subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)
        found = cache.get("k")
        assert found is not None
        assert found.value == [1]


def test_the_disk_stays_within_its_size(tmp_path: Path, clock: FakeClock) -> None:
    """Bytes are bounded as well as entries, and what is larger than all is not kept."""
    with DiskCache(tmp_path / "c.sqlite", clock, max_size_mb=1) as cache:
        for number in range(50):
            cache.put(str(number), "x" * 100_000)
        assert (cache.statistics().size_bytes or 0) <= 1_048_576
        assert cache.get("49") is not None
        assert cache.put("huge", "x" * 2_000_000) is False


@pytest.mark.parametrize("value", [(1, 2), {1: 2}, {1, 2}, object(), "\ud800", 2**70, [[("a",)]]])
def test_the_disk_keeps_only_what_comes_back_the_same(tmp_path: Path, value: Any) -> None:
    """A tuple would come back as a list: better not kept than kept as something else."""
    with DiskCache(tmp_path / "c.sqlite") as cache:
        assert (cache.put("k", value), cache.get("k"), cache.statistics().rejected) == (False, None, 1)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(plain)
def test_plain_data_comes_back_from_the_disk_as_it_was(tmp_path: Path, value: Any) -> None:
    """Equal, and of the same types; or it was not kept."""
    with DiskCache(tmp_path / "c.sqlite") as cache:
        if cache.put("k", value):
            found = cache.get("k")
            assert found is not None
            assert repr(found.value) == repr(value)


def test_the_file_is_the_users_own(tmp_path: Path) -> None:
    """Mode 0600, for the files beside it too."""
    path = tmp_path / "own" / "c.sqlite"
    with DiskCache(path) as cache:
        cache.put("a", 1)
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    """A cache can always be made again."""
    path = tmp_path / "c.sqlite"
    path.write_bytes(b"no database at all " * 100)
    with DiskCache(path) as cache:
        assert cache.put("a", 1)


def test_a_file_of_another_version_is_begun_anew(tmp_path: Path) -> None:
    """Entries of another version are never read."""
    path = tmp_path / "c.sqlite"
    with DiskCache(path) as cache:
        cache.put("a", 1)
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 9")
    database.close()
    with DiskCache(path) as cache:
        assert cache.get("a") is None
        assert cache.put("a", 2)
