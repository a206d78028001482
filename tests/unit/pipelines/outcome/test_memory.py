"""What a run keeps of its finished steps, and what it does with what is known already."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from dspex_lab.errors import Cancelled
from dspex_lab.pipelines import StepMetrics, each, native, parallel, predict, when
from dspex_lab.pipelines.outcome.memory import DECISION, ITEMS, Remembered
from dspex_lab.pipelines.outcome.result import StepStatus
from dspex_lab.pipelines.run.runner import PlanRun, RunSettings
from dspex_lab.testing.stage import Stage


class Notebook:
    """A memory in a dict, which can be set to fail."""

    def __init__(self, **known: Mapping[str, Any]) -> None:
        self.kept: dict[str, Mapping[str, Any]] = {}
        self.known = known

    def recall(self, key: str) -> Remembered | None:
        if key not in self.known:
            return None
        name = key.rsplit("/")[-1]
        return Remembered(self.known[key], StepMetrics(name, StepStatus.SUCCEEDED, duration_s=2.0))

    async def keep(self, key: str, outputs: Mapping[str, Any], metrics: StepMetrics) -> None:
        await asyncio.sleep(0)
        self.keep_here(key, outputs, metrics)

    def keep_here(self, key: str, outputs: Mapping[str, Any], metrics: StepMetrics) -> None:
        self.kept[key] = dict(outputs)


RunWith = Callable[..., tuple[dict[str, Any], PlanRun]]


@pytest.fixture(params=[False, True], ids=["on the loop", "on walks"])
def run(request: pytest.FixtureRequest, stage: Stage) -> RunWith:
    """Runs steps with a memory, and gives their fields. Every property holds wherever plain functions run."""

    def run_with(memory: Notebook, steps: dict[str, Any], **inputs: Any) -> tuple[dict[str, Any], PlanRun]:
        work = PlanRun(
            stage.pipeline(**steps).plan,
            stage.router,
            RunSettings("1" * 32),
            emit=stage.router.hub.emit,
            clock=stage.router.clock,
            memory=memory,
            threads=stage.portal.threads if request.param else None,
        )
        return stage.portal.run(work.run, inputs), work

    return run_with


def test_every_finished_step_is_kept_under_its_place(stage: Stage, run: RunWith) -> None:
    """Leaves, decisions and the end of all items are kept, each execution under a key of its own."""
    memory = Notebook()
    steps = {
        "rows": each(native(lambda item: item + 1), over="items"),
        "reply": when(lambda s: s.q == "x", then=native(lambda q: q), otherwise=native(lambda q: "no")),
        "both": parallel(a=native(lambda q: q), b=native(lambda q: q * 2)),
    }
    run(memory, steps, items=[1, 2], q="x")
    assert memory.kept == {
        "rows[0]/rows.item": {"rows": 2},
        "rows[1]/rows.item": {"rows": 3},
        "rows?": {ITEMS: 2},
        "reply?": {DECISION: True},
        "reply.then": {"reply": "x"},
        "a": {"a": "x"},
        "b": {"b": "xx"},
    }


def test_what_is_known_does_not_run_again(stage: Stage, run: RunWith) -> None:
    """A remembered step gives its outputs and figures without running, and says that it was resumed."""
    memory = Notebook(first={"first": "known"})
    fields, work = run(memory, {"first": predict("q -> first"), "second": native(lambda first: first)}, q="x")
    assert fields == {"first": "known", "second": "known"}
    assert (stage.backend.calls, list(memory.kept)) == ([], ["second"])
    assert work.metrics["first"].duration_s == 2.0
    told = stage.told("pipeline.step", step="first")
    assert [(one["status"], one["resumed"], one["outputs"]) for one in told] == [
        ("succeeded", True, {"first": "known"})
    ]


def test_a_decision_is_not_asked_twice(stage: Stage, run: RunWith) -> None:
    """A condition that would now say otherwise is not asked: the run goes on as it went."""
    memory = Notebook(**{"reply?": {DECISION: True}})
    steps = {"reply": when(lambda s: 1 / 0, then=native(lambda: "then"), otherwise=native(lambda: "otherwise"))}
    assert run(memory, steps)[0] == {"reply": "then"}


def test_items_that_are_known_do_not_run_again(stage: Stage, run: RunWith) -> None:
    """Each item has a place of its own."""
    memory = Notebook(**{"rows[1]/rows.item": {"rows": "known"}})
    fields, _ = run(memory, {"rows": each(native(lambda item: item), over="items")}, items=[1, 2, 3])
    assert fields == {"rows": [1, "known", 3]}


def test_nothing_starts_before_what_it_needs_is_kept(stage: Stage, run: RunWith) -> None:
    """A step whose outputs cannot be kept has no dependants."""

    class Broken(Notebook):
        def keep_here(self, key: str, outputs: Mapping[str, Any], metrics: StepMetrics) -> None:
            raise Cancelled("The disk is full.")

    begun: list[str] = []
    steps = {"first": native(lambda q: q), "second": native(lambda first: begun.append(first))}
    try:
        run(Broken(), steps, q="x")
    except Cancelled:
        assert begun == []
    else:
        raise AssertionError("the run went on")
