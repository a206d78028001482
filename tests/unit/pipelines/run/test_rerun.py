"""A run that is run again from one of its steps on."""

from __future__ import annotations

from typing import Any

import pytest

from dspex_lab.errors import LabError, PipelineError
from dspex_lab.pipelines import Pipeline, each, native, parallel, predict, when
from dspex_lab.pipelines.run.rerun import kept, repeatable_steps
from dspex_lab.testing.stage import Stage


class Counter:
    """Plain steps that count how often each was called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def step(self, name: str, *reads: str) -> Any:
        def call(*values: Any) -> str:
            self.calls.append(name)
            return f"{name}{self.calls.count(name)}({','.join(map(str, values))})"

        return native(call, reads=list(reads))


def chain(stage: Stage, count: Counter) -> Pipeline:
    """``a`` leads to ``b`` and ``side``, ``b`` to ``c``."""
    return stage.pipeline(
        a=count.step("a", "x"), b=count.step("b", "a"), side=count.step("side", "a"), c=count.step("c", "b")
    )


def test_a_step_and_what_depends_on_it_run_again(stage: Stage) -> None:
    """What is before the step and beside it is as it was; the run is a new one with the same inputs."""
    count = Counter()
    run = chain(stage, count).submit(x=1)
    run.result()
    count.calls.clear()
    again = run.rerun("b")
    result = again.result()
    assert count.calls == ["b", "c"]
    assert again.id != run.id
    assert result.c == "c1(b1(a1(1)))"
    assert again.inputs == {"x": 1}


def test_without_a_step_everything_runs_again(stage: Stage) -> None:
    """Nothing is kept."""
    count = Counter()
    run = chain(stage, count).submit(x=1)
    run.result()
    count.calls.clear()
    run.rerun().result()
    assert sorted(count.calls) == ["a", "b", "c", "side"]


def test_what_failed_runs_again_with_what_was_not_reached(stage: Stage) -> None:
    """After a failure what has finished is kept, whichever step is named."""
    count = Counter()
    broken = [True]

    def shaky(a: str) -> str:
        if broken:
            raise ValueError("not yet")
        return f"mended {a}"

    made = stage.pipeline(a=count.step("a", "x"), b=native(shaky), c=count.step("c", "b"))
    run = made.submit(x=1)
    with pytest.raises(PipelineError):
        run.result()
    broken.clear()
    assert run.rerun("b").result().c == "c1(mended a1(1))"
    assert count.calls == ["a", "c"]


def test_kept_steps_are_told_as_kept(stage: Stage) -> None:
    """A panel shows them as done, and says that they were kept."""
    run = chain(stage, Counter()).submit(x=1)
    run.result()
    again = run.rerun("c")
    again.result()
    view = again.view
    assert [(step.name, step.kept) for step in view.steps] == [("a", True), ("b", True), ("side", True), ("c", False)]


def test_a_run_counts_what_it_used_itself(stage: Stage) -> None:
    """What is kept was paid for by the run before, and has no place in the time of this one."""
    run = stage.pipeline(a=predict("x -> a"), b=predict("a -> b")).submit(x="1")
    assert run.result().metrics.usage.lm_calls == 2
    again = run.rerun("b")
    assert again.result().metrics.usage.lm_calls == 1
    assert again.view.step("a").started is None


def test_items_are_kept_as_a_whole(stage: Stage) -> None:
    """An ``each`` before the step is not run again, for no item; its parts are told as kept."""
    count = Counter()
    made = stage.pipeline(rows=each(count.step("part", "item"), over="items", item="item"), c=count.step("c", "rows"))
    run = made.submit(items=["p", "q"])
    run.result()
    count.calls.clear()
    again = run.rerun("c")
    again.result()
    assert count.calls == ["c"]
    assert all(step.status == "succeeded" for step in again.view.steps)


def test_a_part_of_an_each_cannot_be_named(stage: Stage) -> None:
    """The error says from where instead, and a name that is not known gets a guess."""
    made = stage.pipeline(rows=each(native(lambda item: item), over="items"), total=native(lambda rows: len(rows)))
    names = {one.name for one in made.plan.steps}
    (inner,) = names - set(repeatable_steps(made.plan))
    run = made.submit(items=[1])
    run.result()
    with pytest.raises(PipelineError, match="part of an each"):
        run.rerun(inner)
    with pytest.raises(PipelineError, match="no step totl") as caught:
        run.rerun("totl")
    assert "'total'" in (caught.value.hint or "")


def test_a_part_of_a_parallel_runs_alone(stage: Stage) -> None:
    """Its siblings are kept; what reads it runs."""
    count = Counter()
    made = stage.pipeline(both=parallel(p=count.step("p", "x"), q=count.step("q", "x")), last=count.step("last", "p"))
    run = made.submit(x=1)
    run.result()
    count.calls.clear()
    run.rerun("p").result()
    assert count.calls == ["p", "last"]


def test_a_branch_runs_again(stage: Stage) -> None:
    """The step that the condition chose can be named like any other."""
    count = Counter()
    made = stage.pipeline(
        a=count.step("a", "x"), b=when(lambda s: s.x > 0, then=count.step("yes", "a"), otherwise=count.step("no", "a"))
    )
    run = made.submit(x=1)
    run.result()
    count.calls.clear()
    run.rerun("b").result()
    assert count.calls == ["yes"]


def test_a_run_under_way_is_not_run_again(stage: Stage) -> None:
    """It is to be waited for, or cancelled."""
    run = stage.pipeline(slow=predict("x -> slow")).submit(x="1")
    assert stage.is_slow.wait(10)
    with pytest.raises(PipelineError, match="under way"):
        run.rerun("slow")
    run.cancel()
    with pytest.raises(LabError):
        run.result()


def test_nothing_is_kept_of_what_did_not_succeed(stage: Stage) -> None:
    """Pure: only steps with outputs and a good end are known."""
    run = chain(stage, Counter()).submit(x=1)
    run.result()
    outputs, metrics, _ = run.finished()
    assert set(kept(run.plan, "b", outputs, metrics)) == {"a", "side"}
    assert kept(run.plan, "a", outputs, metrics) == {}
