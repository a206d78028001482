"""Results that are kept: what a hit gives, what is never kept, and who makes what many ask for at once."""

from __future__ import annotations

import asyncio
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dspex_lab.cache import DiskCache
from dspex_lab.calls import Chunk, Usage
from dspex_lab.errors import ConfigurationError, DeadlineExceeded, ModelError, PythonError, ValidationError
from dspex_lab.pipelines import chain_of_thought, native, predict, react
from dspex_lab.router import CachePolicy, ResultCaches, Router
from dspex_lab.testing import FakeCall

from .conftest import Scripted

KEPT = predict("q -> answer", cache=True, retry=0)


@pytest.fixture
def on_disk(scripted: Scripted, tmp_path: Path) -> Iterator[Scripted]:
    scripted.router.caches = ResultCaches(scripted.clock, tmp_path / "kept")
    yield scripted
    scripted.router.caches.close()


def disk(**values: Any) -> CachePolicy:
    return CachePolicy(place="disk", **values)


def origins(scripted: Scripted) -> list[str]:
    """What was told of the cache, in order."""
    told = [one for one in scripted.events if one.name.startswith("cache.")]
    return [str(one.attributes.get("origin", "miss")) for one in told]


# --- hits ---------------------------------------------------------------------------------------------------------


async def test_the_second_time_nobody_is_asked(scripted: Scripted) -> None:
    """A hit has the same outputs, has used nothing and says that it was kept."""
    first, second = await scripted.run(KEPT), await scripted.run(KEPT)
    assert (second.outputs, second.cached, second.usage, second.retries) == (first.outputs, True, Usage(), 0)
    assert not first.cached
    assert len(scripted.models) == 1
    assert origins(scripted) == ["miss", "hit"]
    assert scripted.router.statistics().cache_hits == 1


async def test_another_question_is_asked(scripted: Scripted) -> None:
    """Other inputs, another model, another signature: none is served from what was kept."""
    await scripted.run(KEPT)
    await scripted.run(KEPT, {"q": "other"})
    await scripted.run(predict("q -> answer", cache=True, lm="openai/other"))
    await scripted.run(predict("q -> answer: Literal['yes']", cache=True))
    await scripted.run(predict("q -> answer", cache=True, demos=[{"q": "a", "answer": "b"}]))
    assert len(scripted.models) == 5


async def test_the_default_model_of_the_moment_is_in_the_key(scripted: Scripted) -> None:
    """When the default is changed, what the old one said is not served."""
    await scripted.run(KEPT)
    scripted.router.lm = scripted.router.lm.__class__("openai/new")
    await scripted.run(KEPT)
    assert scripted.models == ["openai/big", "openai/new"]


async def test_kept_outputs_have_their_types_again(on_disk: Scripted) -> None:
    """What comes from the disk is validated into what the signature declares."""
    on_disk.answers = ["2026-11-26"]
    leaf = predict("q -> answer: dt.date", namespace={"dt": __import__("datetime")}, cache=disk())
    first = await on_disk.run(leaf)
    assert (await on_disk.run(leaf)).outputs == first.outputs
    assert len(on_disk.models) == 1


async def test_without_cache_nothing_is_kept(scripted: Scripted) -> None:
    """The default is off."""
    for _ in range(2):
        await scripted.run(predict("q -> answer"))
    assert len(scripted.models) == 2
    assert scripted.router.caches.statistics() == ()


async def test_a_hit_is_free_when_the_budget_is_used_up(scripted: Scripted) -> None:
    """What is kept costs nothing, and is not charged."""
    context = scripted.context(max_tokens_total=15)
    await scripted.run(KEPT, context=context)
    assert (await scripted.run(KEPT, context=context)).cached
    assert context.account is not None
    assert context.account.spent.lm_calls == 1


async def test_a_hit_is_served_while_the_circuit_is_open(scripted: Scripted) -> None:
    """A model that is left alone is not needed for what it said before."""
    await scripted.run(KEPT)
    scripted.answers = [ModelError("down", status=503, retryable=True)] * 3
    for _ in range(3):
        with pytest.raises(ModelError):
            await scripted.run(predict("q -> answer", retry=0))
    assert (await scripted.run(KEPT)).cached


async def test_a_fallback_s_result_is_kept_under_its_own_name(scripted: Scripted) -> None:
    """It is never served as the answer of the model that failed."""
    leaf = predict("q -> answer", cache=True, retry=0, fallback="openai/other")
    scripted.answers = [ModelError("down"), "from other", ModelError("down"), "from big"]
    assert (await scripted.run(leaf)).outputs == {"answer": "from other"}
    assert (await scripted.run(leaf)).cached
    assert (await scripted.run(leaf)).outputs == {"answer": "from big"}


@pytest.mark.parametrize("step", [predict, chain_of_thought])
async def test_a_hit_streams_each_field_as_one_piece(scripted: Scripted, step: Any) -> None:
    """Who watches the text come sees it, at once."""
    scripted.backend.handlers["lm.complete"] = _reasoned
    leaf = step("q -> answer", cache=True)
    await scripted.run(leaf)
    seen: list[Chunk] = []
    outcome = await scripted.run(leaf, on_chunk=seen.append)
    assert {chunk.field: chunk.text for chunk in seen} == dict(outcome.outputs)
    assert len(seen) == len(outcome.outputs)


def _reasoned(call: FakeCall) -> Any:
    text = "[[ ## reasoning ## ]]\nsince\n\n[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]"
    return {"text": text, "model": "m", "finish_reason": "stop"}


# --- time and place -----------------------------------------------------------------------------------------------


async def test_what_is_kept_grows_old(scripted: Scripted) -> None:
    """After ttl_s it is made anew."""
    leaf = predict("q -> answer", cache=CachePolicy(ttl_s=60))
    await scripted.run(leaf)
    scripted.clock.advance(59)
    assert (await scripted.run(leaf)).cached
    scripted.clock.advance(2)
    assert not (await scripted.run(leaf)).cached


async def test_a_refresh_asks_again_and_keeps_that(scripted: Scripted) -> None:
    """It reads nothing, and the next one reads what it wrote."""
    scripted.answers = ["old", "new"]
    await scripted.run(KEPT)
    fresh = await scripted.run(predict("q -> answer", cache=CachePolicy(refresh=True)))
    assert (fresh.outputs, fresh.cached) == ({"answer": "new"}, False)
    assert (await scripted.run(KEPT)).outputs == {"answer": "new"}


async def test_the_disk_keeps_across_lives(scripted: Scripted, tmp_path: Path) -> None:
    """Another router on the same folder finds what was kept; the files are the user's alone."""
    leaf = predict("q -> answer", cache=disk())
    for expected in (False, True):
        scripted.router.caches = ResultCaches(scripted.clock, tmp_path / "kept")
        assert (await scripted.run(leaf)).cached is expected
        scripted.router.caches.close()
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "kept" / "results.sqlite").stat().st_mode) == 0o600


async def test_memory_and_disk_are_two_places(on_disk: Scripted) -> None:
    """What one has the other need not."""
    await on_disk.run(predict("q -> answer", cache=disk()))
    assert not (await on_disk.run(KEPT)).cached
    assert [one.kind for one in on_disk.router.caches.statistics()] == ["DiskCache", "MemoryCache"]


async def test_a_disk_that_cannot_be_used_says_so(scripted: Scripted, tmp_path: Path) -> None:
    """The folder is named, and what else to do."""
    (tmp_path / "file").write_text("no folder")
    scripted.router.caches = ResultCaches(scripted.clock, tmp_path / "file")
    with pytest.raises(ConfigurationError, match=r"cannot be used(.|\n)*DSPEX_LAB_CACHE_DIR"):
        await scripted.run(predict("q -> answer", cache=disk()))


async def test_what_cannot_be_read_any_more_is_made_anew(on_disk: Scripted) -> None:
    """An entry that somebody wrote over is as good as none."""
    leaf = predict("q -> answer", cache=disk())
    await on_disk.run(leaf)
    cache = on_disk.router.caches.at("disk")
    assert isinstance(cache, DiskCache)
    key = on_disk.named("cache.miss")[0]["key"]
    for wrong in ({"form": "signature", "outputs": {}}, {"form": "other"}, ["?"], {"form": "wire"}):
        cache.put(key, wrong)
        assert not (await on_disk.run(leaf)).cached
    assert (await on_disk.run(leaf)).cached


# --- functions ----------------------------------------------------------------------------------------------------


async def test_a_function_s_values_come_back_as_copies(scripted: Scripted) -> None:
    """Whoever changes one changes nobody else's."""

    def listed(q: str) -> list[str]:
        return [q]

    leaf = native(listed, writes="x", cache=True)
    first = await scripted.run(leaf)
    first.outputs["x"].append("changed")
    second = await scripted.run(leaf)
    second.outputs["x"].append("changed")
    assert (await scripted.run(leaf)).outputs == {"x": ["?"]}


async def test_values_come_back_from_the_disk_as_they_were(on_disk: Scripted) -> None:
    """Tuples, sets and dates keep their types; nothing is unpickled."""
    values = {"a": (1, 2), "b": {3}, "c": __import__("datetime").date(2026, 11, 26), "d": b"raw", "e": 2**70}
    leaf = native(lambda q: dict(values), writes="x", cache=disk())
    await on_disk.run(leaf)
    kept = await on_disk.run(leaf)
    assert kept.cached
    assert repr(kept.outputs["x"]) == repr(values)


async def test_a_value_that_cannot_be_kept_is_given_all_the_same(on_disk: Scripted) -> None:
    """A lock has no copy: it is made each time."""
    for policy in (disk(), CachePolicy()):
        leaf = native(lambda q: threading.Lock(), writes="x", cache=policy)
        for _ in range(2):
            outcome = await on_disk.run(leaf)
            assert not outcome.cached
            assert outcome.outputs["x"].acquire(blocking=False)


# --- what is never kept -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ModelError("no"), PythonError("no"), DeadlineExceeded("late")])
async def test_errors_are_not_kept(scripted: Scripted, error: Exception) -> None:
    """The next one is asked again."""
    scripted.answers = [error]
    with pytest.raises(type(error)):
        await scripted.run(KEPT)
    assert (await scripted.run(KEPT)).outputs == {"answer": "yes"}


async def test_what_tools_did_is_kept_only_where_it_is_said(scripted: Scripted) -> None:
    """A step with tools refuses cache=True, and says what to write."""
    with pytest.raises(ConfigurationError, match="with_tools=True"):
        await scripted.run(react("q -> answer", tools=[print], cache=True))


async def test_wrong_inputs_are_an_error_before_anything_is_looked_up(scripted: Scripted) -> None:
    """Inputs are validated first."""
    with pytest.raises(ValidationError):
        await scripted.run(predict("q: int -> answer", cache=True), {"q": "four"})
    assert origins(scripted) == []


# --- many at once -------------------------------------------------------------------------------------------------


class Gate:
    """A model that answers when it is told to."""

    def __init__(self, scripted: Scripted) -> None:
        self.opened = asyncio.Event()
        self.begun = asyncio.Event()
        self.stopped = 0
        self._answer = scripted.backend.handlers["lm.complete"]
        scripted.backend.handlers["lm.complete"] = self._wait

    async def _wait(self, call: FakeCall) -> Any:
        self.begun.set()
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        return await self._answer(call)


async def test_equal_questions_at_once_are_asked_once(scripted: Scripted) -> None:
    """One is asked and pays, the others get the same answer for nothing."""
    gate = Gate(scripted)
    work = [asyncio.ensure_future(scripted.run(KEPT)) for _ in range(20)]
    await gate.begun.wait()
    await scripted.clock.settle()
    gate.opened.set()
    outcomes = await asyncio.gather(*work)
    assert len(scripted.models) == 1
    assert sum(one.usage.lm_calls for one in outcomes) == 1
    assert [one.cached for one in outcomes].count(False) == 1
    assert origins(scripted).count("shared") == 19


async def test_who_waits_and_is_cancelled_stops_nobody(scripted: Scripted) -> None:
    """Neither the first, whose call goes on for the others, nor a later one."""
    gate = Gate(scripted)
    first = asyncio.ensure_future(scripted.run(KEPT))
    await gate.begun.wait()
    others = [asyncio.ensure_future(scripted.run(KEPT)) for _ in range(2)]
    await scripted.clock.settle()
    first.cancel()
    others[0].cancel()
    await asyncio.wait([first, others[0]])
    gate.opened.set()
    assert (await others[1]).outputs == {"answer": "yes"}
    assert (len(scripted.models), gate.stopped) == (1, 0)


async def test_the_last_who_leaves_stops_the_call(scripted: Scripted) -> None:
    """When nobody waits any more, the model is told."""
    gate = Gate(scripted)
    work = asyncio.ensure_future(scripted.run(KEPT))
    await gate.begun.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await scripted.clock.settle()
    assert gate.stopped == 1


async def test_one_s_deadline_is_not_the_others(scripted: Scripted) -> None:
    """When who asked first has no time left, the next asks for itself."""
    gate = Gate(scripted)
    hasty = asyncio.ensure_future(scripted.run(predict("q -> answer", cache=True, retry=0, timeout_s=1)))
    await gate.begun.wait()
    patient = asyncio.ensure_future(scripted.run(KEPT))
    await scripted.clock.settle()
    scripted.clock.advance(1)
    with pytest.raises(DeadlineExceeded):
        await hasty
    gate.opened.set()
    assert (await patient).outputs == {"answer": "yes"}
    assert len(scripted.models) == 2


async def test_who_waits_has_a_deadline_too(scripted: Scripted) -> None:
    """Waiting for another's answer ends with one's own time."""
    gate = Gate(scripted)
    first = asyncio.ensure_future(scripted.run(KEPT))
    await gate.begun.wait()
    hasty = asyncio.ensure_future(scripted.run(predict("q -> answer", cache=True, timeout_s=1)))
    await scripted.clock.settle()
    scripted.clock.advance(1)
    with pytest.raises(DeadlineExceeded):
        await hasty
    gate.opened.set()
    assert (await first).outputs == {"answer": "yes"}


async def test_an_error_reaches_all_who_wait(scripted: Scripted) -> None:
    """What the model refuses it would refuse each of them."""
    gate = Gate(scripted)
    scripted.answers = [ModelError("no such model")]
    work = [asyncio.ensure_future(scripted.run(KEPT)) for _ in range(3)]
    await gate.begun.wait()
    await scripted.clock.settle()
    gate.opened.set()
    found = await asyncio.gather(*work, return_exceptions=True)
    assert [type(one) for one in found] == [ModelError] * 3
    assert len(scripted.models) == 1


def test_caches_read_as_a_status_line(scripted: Scripted) -> None:
    """Unused ones say so; nothing is opened before it is needed."""
    router: Router = scripted.router
    assert repr(router.caches) == "<ResultCaches [unused]>"
    router.caches.at("memory")
    assert "MemoryCache [entries: 0/10000" in repr(router.caches)
