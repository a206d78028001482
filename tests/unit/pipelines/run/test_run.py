"""Runs from end to end, over a scripted backend: results, events, errors and cancelling, from sync and async code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from dspex_lab.calls import Usage
from dspex_lab.errors import ModelError, PipelineError, PythonError, ValidationError
from dspex_lab.pipelines import (
    Pipeline,
    RunState,
    chain_of_thought,
    each,
    native,
    parallel,
    predict,
    template,
    when,
)
from dspex_lab.testing import FakeCall
from dspex_lab.testing.stage import Stage

LIMIT_S = 10.0


def slow(stage: Stage, **others: Any) -> Pipeline:
    """A pipeline with a step that waits until it is cancelled."""
    return stage.pipeline(waiting=predict("q -> slow"), **others)


def broken(stage: Stage, error: Exception) -> None:
    """Every call from now on raises ``error``."""

    def fail(call: FakeCall) -> None:
        raise error

    stage.backend.handlers["dspy.run"] = fail


# --- results ------------------------------------------------------------------------------------------------------


def test_fields_flow_by_name(stage: Stage) -> None:
    """Each step's outputs are the fields of the next; the result has them all, and each step's own record."""
    made = stage.pipeline(
        text=native(lambda ticket: ticket.strip()),
        both=parallel(summary=chain_of_thought("text -> summary"), mood=predict("text -> mood")),
        reply=template("{{ mood }} / {{ summary }}"),
    )
    result = made(ticket="  hello ")
    assert result.to_dict() == {
        "text": "hello",
        "summary": "summary of text",
        "mood": "mood of text",
        "reply": "mood of text / summary of text",
    }
    assert result.steps["summary"].reasoning == "since"
    assert result.steps["both"].to_dict() == {"summary": "summary of text", "mood": "mood of text"}


@pytest.mark.parametrize(("urgency", "expected"), [(5, "hot"), (1, "cold")])
def test_a_condition_chooses_a_branch(stage: Stage, urgency: int, expected: str) -> None:
    """One branch runs, and the other says that it did not."""
    stage.answers["urgency"] = lambda inputs: urgency
    made = stage.pipeline(
        triage=predict("ticket -> urgency: int"),
        reply=when(lambda s: s.urgency > 3, then=native(lambda: "hot"), otherwise=native(lambda: "cold")),
    )
    assert made(ticket="x").reply == expected
    skipped = stage.told("pipeline.step", status="skipped")
    assert [one["step"] for one in skipped] == ["reply.otherwise" if expected == "hot" else "reply.then"]


def test_a_branch_that_is_not_taken_leaves_none(stage: Stage) -> None:
    """Without otherwise the field is None, and what was overwritten is as it was."""
    made = stage.pipeline(
        a=native(lambda q: q),
        b=when(lambda s: False, then=native(lambda: 1)),
        c=when(lambda s: False, then=native(lambda: "new", writes="a", overwrite=True)),
    )
    result = made(q="old")
    assert (result.b, result.a) == (None, "old")


def test_each_keeps_the_order_and_its_bound(stage: Stage) -> None:
    """Results stand in the items' order, and no more than ``concurrency`` are under way."""
    under_way, most = 0, 0

    async def work(item: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(10 - item % 7):
            await asyncio.sleep(0)
        under_way -= 1
        return item * item

    made = stage.pipeline(squares=each(native(work), over="items", concurrency=3))
    assert made(items=list(range(20))).squares == [number * number for number in range(20)]
    assert most == 3
    assert made(items=[]).squares == []


def test_a_program_returns_its_record(stage: Stage) -> None:
    """A program gives all outputs of its step, reasoning included, and raises nothing of pipelines."""
    program = stage.program(chain_of_thought("question -> answer"))
    result = program(question="?")
    assert (result.answer, result.reasoning) == ("answer of question", "since")
    with pytest.raises(ValidationError):
        program(qestion="?")


def test_a_pipeline_can_be_a_step_of_another(stage: Stage) -> None:
    """Its inputs are read from the outer fields, its outputs are written there; its steps keep their own names."""
    inner = stage.pipeline(text=native(lambda ticket: ticket.strip()), loud=native(lambda text: text.upper()))
    outer = stage.pipeline(inner=inner, reply=native(lambda loud: f"{loud}!"))
    result = outer(ticket=" x ")
    assert (result.reply, result.steps["inner.text"].text) == ("X!", "x")
    assert [one.name for one in outer.plan.inputs] == ["ticket"]


def test_independent_steps_run_at_the_same_time(stage: Stage) -> None:
    """Two steps that wait for one another's beginning both end."""
    first, second = asyncio.Event(), asyncio.Event()

    async def one(q: str) -> str:
        first.set()
        await second.wait()
        return q

    async def other(q: str) -> str:
        second.set()
        await first.wait()
        return q

    assert stage.pipeline(a=native(one), b=native(other)).submit(q="x").result(LIMIT_S).to_dict() == {
        "a": "x",
        "b": "x",
    }


# --- sync and async -----------------------------------------------------------------------------------------------


def call_sync(made: Pipeline, inputs: dict[str, Any]) -> Any:
    return made(**inputs)


def call_async(made: Pipeline, inputs: dict[str, Any]) -> Any:
    return asyncio.run(made.acall(**inputs))


def call_stream(made: Pipeline, inputs: dict[str, Any]) -> Any:
    stream = made.stream(**inputs)
    assert "".join(chunk.text for chunk in stream if chunk.field == "mood").strip() == "mood of q"
    return stream.result


def call_async_stream(made: Pipeline, inputs: dict[str, Any]) -> Any:
    async def read() -> Any:
        stream = made.stream(**inputs)
        text = [chunk.text async for chunk in stream if chunk.field == "mood"]
        assert "".join(text).strip() == "mood of q"
        return await stream.run

    return asyncio.run(read())


CALLS = pytest.mark.parametrize("call", [call_sync, call_async, call_stream, call_async_stream])


@CALLS
def test_every_way_to_call_gives_the_same(stage: Stage, call: Callable[[Pipeline, dict[str, Any]], Any]) -> None:
    """Sync, async, streamed: one implementation, one result."""
    made = stage.pipeline(mood=predict("q -> mood"), loud=native(lambda mood: mood.upper()))
    assert call(made, {"q": "x"}).to_dict() == {"mood": "mood of q", "loud": "MOOD OF Q"}


@pytest.mark.parametrize("call", [call_sync, call_async])
def test_every_way_to_call_raises_the_same(stage: Stage, call: Callable[[Pipeline, dict[str, Any]], Any]) -> None:
    """An error is the same error, however one waits for it."""
    broken(stage, ModelError("There is no model tiny.", "tiny", hint="Name another."))
    with pytest.raises(PipelineError, match="mood failed: There is no model tiny") as caught:
        call(stage.pipeline(mood=predict("q -> mood")), {"q": "x"})
    assert caught.value.hint == "Name another."
    assert isinstance(caught.value.accumulated_errors[0], ModelError)


# --- what is told -------------------------------------------------------------------------------------------------


def test_a_run_tells_its_beginning_steps_tokens_and_end(stage: Stage) -> None:
    """The events of a run in their order, with what panels need."""
    run = stage.pipeline(mood=predict("q -> mood")).submit(q="x")
    run.result()
    names = [event.name for event in run.events()]
    assert names == [
        "run.start",
        "pipeline.step",
        "router.route",
        "token",
        "token",
        "token",
        "python.execute",
        "pipeline.step",
        "run.end",
    ]
    assert [event.name for event in stage.events] == names
    start, end = stage.told("run.start")[0], stage.told("run.end")[0]
    assert start["steps"] == [{"name": "mood", "kind": "predict", "reads": ["q"], "writes": ["mood"], "parent": None}]
    assert (start["inputs"], start["pipeline"]) == ({"q": "x"}, "test")
    assert (end["status"], end["outputs"], end["error"]) == ("succeeded", {"mood": "mood of q"}, None)
    assert end["usage"] == {"input_tokens": 10, "output_tokens": 5, "cost": 0.01, "lm_calls": 1}
    step = stage.told("pipeline.step", status="succeeded")[0]
    assert (step["outputs"], step["retries"], step["cached"]) == ({"mood": "mood of q"}, 0, False)


def test_metrics_say_what_each_step_took(stage: Stage) -> None:
    """Route, usage and status by step, and the sum."""
    result = stage.pipeline(a=predict("q -> a"), b=predict("a -> b"), c=native(lambda b: b))(q="x")
    assert result.metrics.usage == Usage(20, 10, 0.02, 2)
    assert (result.metrics["a"].route, result.metrics["c"].route) == ("python", "native")
    assert "succeeded" in repr(result.metrics)


def test_tokens_can_be_turned_off(stage: Stage) -> None:
    """stream=False asks the worker for none."""
    stage.pipeline(mood=predict("q -> mood", stream=False))(q="x")
    assert stage.told("token") == []


def test_users_objects_are_told_by_their_repr(stage: Stage) -> None:
    """Events hold plain data only."""
    stage.pipeline(thing=native(lambda q: {"object": object()}))(q=threading.Lock())
    assert stage.told("run.start")[0]["inputs"]["q"].startswith("<unlocked")
    assert isinstance(stage.told("run.end")[0]["outputs"]["thing"]["object"], str)


def test_the_view_is_the_panels(stage: Stage) -> None:
    """run.view is what a panel would show."""
    run = stage.pipeline(mood=predict("q -> mood")).submit(q="x")
    run.result()
    assert (str(run.view.status), run.view.step("mood").text) == ("succeeded", {"mood": "mood of q "})
    assert repr(run) == f"<Run test {run.id[:8]} [succeeded, steps: 1/1]>"


# --- errors -------------------------------------------------------------------------------------------------------


def test_the_first_failure_cancels_the_others(stage: Stage) -> None:
    """A step that fails ends the run; those beside it are cancelled."""

    async def fail(q: str) -> None:
        await asyncio.to_thread(stage.is_slow.wait, LIMIT_S)
        raise ValueError("no such ticket")

    run = slow(stage, failing=native(fail)).submit(q="x")
    with pytest.raises(PipelineError, match="failing failed: ValueError: no such ticket") as caught:
        run.result(LIMIT_S)
    assert run.state is RunState.FAILED
    assert stage.was_stopped.wait(LIMIT_S)
    assert stage.told("pipeline.step", step="waiting", status="cancelled")
    assert "test_run.py, line" in caught.value.where
    assert 'raise ValueError("no such ticket")' in caught.value.where
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_exception_in_a_worker_shows_the_users_line(stage: Stage) -> None:
    """The line comes out of the worker's own traceback, which is kept."""
    text = (
        "Traceback (most recent call last):\n"
        '  File "/somewhere/site-packages/dspy/predict.py", line 5, in forward\n    run()\n'
        '  File "/tmp/ipykernel_1/123.py", line 7, in find_order\n    return orders[number]\n'
        '  File "/somewhere/site-packages/library.py", line 9, in look\n    raise\n'
        "KeyError: 4\n"
    )
    broken(stage, PythonError("KeyError: 4", text, "KeyError"))
    with pytest.raises(PipelineError, match="mood failed: KeyError: 4") as caught:
        stage.pipeline(mood=predict("q -> mood"))(q="x")
    assert caught.value.where == "  a cell, line 7: return orders[number]"
    assert caught.value.traceback == text


def test_an_exception_in_a_condition_is_the_users(stage: Stage) -> None:
    """The condition's own line, and the name of its step."""
    made = stage.pipeline(a=native(lambda q: q), b=when(lambda s: s.a > 3, then=native(lambda: 1)))
    with pytest.raises(PipelineError, match="b failed: TypeError") as caught:
        made(q="text")
    assert "s.a > 3" in caught.value.where


def test_errors_can_be_recorded_instead(stage: Stage) -> None:
    """continue_on_error gives what could be had; what needed the failed step is skipped."""

    def fail(q: str) -> str:
        raise ValueError("no")

    made = stage.pipeline(
        bad=native(fail), after=native(lambda bad: bad), good=native(lambda q: q), both=parallel(x=native(fail))
    )
    result = made.submit(q="x", continue_on_error=True).result(LIMIT_S)
    assert (result.to_dict(), sorted(result.errors)) == ({"good": "x"}, ["bad", "x"])
    assert stage.told("pipeline.step", step="after", status="skipped")
    assert "! bad: bad failed: ValueError: no" in repr(result)


def test_a_failed_run_says_so_once(stage: Stage) -> None:
    """One error.pipeline, one failed step, one end, however deep the step stood."""
    with pytest.raises(PipelineError):
        stage.pipeline(p=parallel(w=when(lambda s: True, then=native(lambda: 1 / 0))))()
    assert len(stage.told("error.pipeline")) == 1
    assert [one["status"] for one in stage.told("run.end")] == ["failed"]
