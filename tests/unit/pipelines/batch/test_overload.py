"""Models that limit their rate: the batch goes slower, waits as long as it is asked to, and loses no row."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from dspex_lab.calls import LmSpec
from dspex_lab.errors import ModelError, PoolSaturated
from dspex_lab.pipelines import Batch, BatchStarter, Launcher, Pipeline, predict
from dspex_lab.portal import Portal
from dspex_lab.router import Router
from dspex_lab.testing.backend import FakeBackend, FakeCall
from dspex_lab.testing.clock import FakeClock


class Provider:
    """A model that takes ``room`` calls at a time, or refuses as ``refusals`` say, and takes a second for each."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.room = 1_000
        self.refusals: list[Exception] = []
        self.running = self.most = self.refused = 0

    async def __call__(self, call: FakeCall) -> dict[str, Any]:
        if self.refusals:
            self.refused += 1
            raise self.refusals.pop()
        if self.running >= self.room:
            self.refused += 1
            raise ModelError("too many at a time", "m", 429, retryable=True)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.clock.sleep(1.0)
        finally:
            self.running -= 1
        return {"answer": call.call.args["inputs"]["question"]}


class Scene:
    """A pipeline of one question to the provider, on a clock that stands."""

    def __init__(self, portal: Portal) -> None:
        self.portal, self.clock = portal, FakeClock()
        self.provider = Provider(self.clock)
        router = Router(
            FakeBackend({"dspy.run": self.provider}), LmSpec("openai/m"), clock=self.clock, strategy="python"
        )
        start_batch = BatchStarter(portal, router).begin
        step = predict("question -> answer")
        self.pipeline = Pipeline("ask", {"a": step}, start=Launcher(portal, router).start, start_batch=start_batch)

    def map(self, count: int, **options: Any) -> Batch:
        rows = [str(number) for number in range(count)]
        made: Batch = self.pipeline.map(rows, wait=False, progress=False, **options)
        return made

    def play(self, batch: Batch) -> Any:
        """Let time pass until the batch is over."""

        async def pass_time() -> None:
            while not batch.is_over:
                if self.clock.sleepers:
                    await self.clock.run_for(0.25)
                else:
                    await asyncio.sleep(0)

        self.portal.run(pass_time)
        return batch.result()


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Portal() as portal:
        yield Scene(portal)


def test_more_and_more_are_under_way(scene: Scene) -> None:
    """While all goes well the number grows by itself."""
    result = scene.play(scene.map(300))
    assert result["answer"].tolist() == [str(number) for number in range(300)]
    assert scene.provider.most >= 64


def test_it_stays_near_what_the_model_takes(scene: Scene) -> None:
    """Refusals halve the number, and no row is lost."""
    scene.provider.room = 20
    batch = scene.map(400)
    result = scene.play(batch)
    assert result["error"].isna().all()
    assert batch.statistics().limit <= 40
    assert scene.provider.refused < 100


def test_retry_after_is_honoured(scene: Scene) -> None:
    """Nothing begins while the model asks to wait, whatever number the user gave."""
    scene.provider.refusals = [ModelError("wait", "m", 429, retry_after_s=30.0, retryable=True)]
    batch = scene.map(20, concurrency=1)
    scene.play(batch)
    assert scene.clock.monotonic() >= 30 + 20
    assert batch.statistics().retries == 1


@pytest.mark.parametrize("refusal", [PoolSaturated("full"), ModelError("busy", "m", 503, retryable=True)])
def test_a_row_outlasts_many_refusals(scene: Scene, refusal: Exception) -> None:
    """More than its steps would try again: want of room is no fault of the row."""
    scene.provider.refusals = [refusal] * 6
    assert scene.play(scene.map(1))["error"].isna().all()


def test_a_refusal_for_ever_is_the_row_s_error(scene: Scene) -> None:
    """The batch ends, and the row says why."""
    scene.provider.room = 0
    result = scene.play(scene.map(2))
    assert result["error"].str.contains("ModelError").all()


def test_what_is_no_refusal_is_not_tried_again(scene: Scene) -> None:
    """A wrong key is told at once."""
    scene.provider.refusals = [ModelError("wrong key", "m", 401)]
    scene.play(scene.map(1))
    assert scene.provider.refused == 1
