"""Options of whole runs and of single steps: they stand beside the inputs, and mistakes in them come first."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from dspex_lab.calls import LmSpec
from dspex_lab.errors import ConfigurationError, DeadlineExceeded, LabError, PipelineError
from dspex_lab.pipelines import (
    Launcher,
    Pipeline,
    RunOptions,
    RunState,
    each,
    native,
    parallel,
    predict,
    when,
)
from dspex_lab.pipelines.run.options import options_from_plain, options_to_plain
from dspex_lab.pipelines.steps.step import Leaf
from dspex_lab.router import Budget
from dspex_lab.testing import FakeClock
from dspex_lab.testing.stage import Stage

LIMIT_S = 10.0


def nested(stage: Stage) -> Pipeline:
    """A pipeline whose steps stand inside one another."""
    return stage.pipeline(
        triage=predict("ticket -> mood"),
        both=parallel(a=predict("mood -> a"), b=predict("mood -> b")),
        reply=when(lambda s: s.a, then=predict("a -> reply"), otherwise=native(lambda b: b)),
        rows=each(predict("item -> row"), over="items"),
    )


def lms(made: Pipeline) -> dict[str, Any]:
    """The model of every step that has one of its own."""
    found = {}
    for step in made.plan.steps:
        if isinstance(step.step, Leaf) and step.step.options.lm:
            found[step.name] = step.step.options.lm
    return found


def test_options_give_a_copy(stage: Stage) -> None:
    """The pipeline itself keeps its own options; the copy runs like it and tells it of the last run."""
    made = stage.pipeline(a=native(lambda q: q))
    other = made.options(continue_on_error=True)
    assert (made._run_options, other._run_options) == (RunOptions(), RunOptions(continue_on_error=True))
    assert other(q="x").a == "x"
    assert made.last_run is other.last_run


def test_inputs_may_be_called_like_options(stage: Stage) -> None:
    """A field timeout_s, steps or self is a field."""
    made = stage.pipeline(a=native(lambda timeout_s, steps, self: (timeout_s, steps, self)))
    assert made.options(timeout_s=5)(timeout_s="a", steps="b", self="c").a == ("a", "b", "c")


def test_submits_own_words_go_first(stage: Stage) -> None:
    """continue_on_error= of submit() is what holds for that run."""
    made = stage.pipeline(bad=native(lambda: 1 / 0), good=native(lambda: 1))
    assert made.submit(continue_on_error=True).result(LIMIT_S).good == 1
    assert made.options(continue_on_error=True)().good == 1
    with pytest.raises(PipelineError):
        made.options(continue_on_error=True).submit(continue_on_error=False).result(LIMIT_S)


def test_programs_take_options_too(stage: Stage) -> None:
    """One step by itself, with another model."""
    stage.program(predict("q -> mood")).options(steps={"predict": {"lm": "openai/x"}})(q="x")
    assert stage.backend.calls[-1].args["lm"]["model"] == "openai/x"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ({"triage": {"lm": "x/y"}}, {"triage": "x/y"}),
        ({"a": {"lm": "x/y"}}, {"a": "x/y"}),
        ({"both.a": {"lm": "x/y"}}, {"a": "x/y"}),
        ({"both": {"lm": "x/y"}}, {"a": "x/y", "b": "x/y"}),
        ({"both": {"lm": "x/y"}, "b": {"lm": "z/z"}}, {"a": "x/y", "b": "z/z"}),
        ({"reply.then": {"lm": "x/y"}}, {"reply.then": "x/y"}),
        ({"rows.item": {"lm": "x/y"}}, {"rows.item": "x/y"}),
    ],
)
def test_a_step_is_found_by_its_name(stage: Stage, steps: Any, expected: dict[str, str]) -> None:
    """By the name that it has in the plan, or the whole way to it; those of a step with others inside go to all."""
    assert lms(nested(stage).options(steps=steps)) == expected
    assert lms(nested(stage)) == {}


def test_an_option_leaves_the_others_alone(stage: Stage) -> None:
    """What the cell says of a step holds unless it is overridden."""
    made = stage.pipeline(a=predict("q -> a", retry=7, timeout_s=3)).options(steps={"a": {"timeout_s": 5}})
    step = made.plan.steps[0].step
    assert isinstance(step, Leaf)
    options = step.options
    assert (options.retry, options.timeout_s) == (7, 5)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"timeout": 3}, ConfigurationError, "no option 'timeout'.\nHint: Did you mean 'timeout_s'?"),
        ({"timeout_s": 0}, ConfigurationError, "more than zero"),
        ({"steps": {"triaje": {"lm": "x/y"}}}, PipelineError, "no step triaje.\nHint: Did you mean 'triage'?"),
        ({"steps": {"triage": {"pol": "x"}}}, ConfigurationError, "no step option 'pol'.\nHint: Did you mean 'pool'?"),
        ({"steps": {"triage": {"timeout_s": -1}}}, ConfigurationError, "more than zero"),
        ({"steps": {"triage": {"timeout_s": "3"}}}, ConfigurationError, "timeout_s='3' is not a number of seconds"),
        ({"steps": {"triage": {"retry": "x"}}}, ConfigurationError, "retry='x' is not how many retries"),
        ({"steps": {"triage": {"output_retries": -1}}}, ConfigurationError, "output_retries=-1 is not how many"),
        ({"steps": {"triage": {"lm": "nonsense"}}}, ConfigurationError, "lm='nonsense' is not provider/name"),
        ({"steps": {"triage": {"lm": 5}}}, ConfigurationError, "lm=5 is not provider/name"),
        ({"steps": {"triage": {"overwrite": True}}}, ConfigurationError, "overwrite of triage"),
        ({"steps": {"triage": 5}}, ConfigurationError, "no mapping but a int"),
    ],
)
def test_mistakes_are_found_before_anything_runs(
    stage: Stage, options: dict[str, Any], error: type[LabError], words: str
) -> None:
    """An unknown option, step or value is an error where it is given, with the nearest name."""
    with pytest.raises(error) as caught:
        nested(stage).options(**options)
    assert words in str(caught.value)


# --- the time of a whole run --------------------------------------------------------------------------------------


def timed(stage: Stage) -> tuple[FakeClock, Launcher]:
    """A launcher whose router goes by a clock that stands still."""
    clock = FakeClock()
    stage.router._clock = clock
    return clock, Launcher(stage.portal, stage.router)


def test_a_run_that_is_late_ends_with_deadline_exceeded(stage: Stage) -> None:
    """Its time is up by the injected clock: the step under way is cancelled, and the run has failed."""
    clock, launcher = timed(stage)
    made = Pipeline("test", {"waiting": predict("q -> slow")}, start=launcher.start).options(timeout_s=60)
    run = made.submit(q="x")
    assert stage.is_slow.wait(LIMIT_S)
    stage.portal.run(clock.wait_for_sleepers)
    clock.advance(59)
    assert not run.is_over
    clock.advance(1)
    with pytest.raises(DeadlineExceeded, match="took longer than 60 s"):
        run.result(LIMIT_S)
    assert stage.was_stopped.wait(LIMIT_S)
    assert run.state is RunState.FAILED
    assert stage.told("pipeline.step", step="waiting", status="cancelled")
    assert stage.told("run.end")[0]["error"]["type"] == "DeadlineExceeded"


def test_a_cancelled_run_is_not_late(stage: Stage) -> None:
    """What was cancelled before its time was up ended as cancelled."""
    _, launcher = timed(stage)
    made = Pipeline("test", {"waiting": predict("q -> slow")}, start=launcher.start).options(timeout_s=60)
    run = made.submit(q="x")
    assert stage.is_slow.wait(LIMIT_S)
    run.cancel()
    with pytest.raises(Exception, match="was cancelled"):
        run.result(LIMIT_S)
    assert run.state is RunState.CANCELLED


def test_a_run_in_time_leaves_no_sleeper(stage: Stage) -> None:
    """The timer of a run ends with it."""
    clock, launcher = timed(stage)
    made = Pipeline("test", {"a": native(lambda q: q)}, start=launcher.start).options(timeout_s=60)
    assert made(q="x").a == "x"

    async def rest() -> int:
        await clock.settle()
        await asyncio.sleep(0)
        return clock.sleepers

    assert stage.portal.run(rest) == 0


def test_options_are_written_down_without_keys() -> None:
    """What is plain comes back for a resumed run, its budget too; a model with a key is left out."""
    key = "a" * 20
    options = RunOptions(
        timeout_s=3.0,
        budget=Budget(max_tokens_total=5),
        steps={"one": {"lm": LmSpec("openai/x", api_key=key), "timeout_s": 2}, "two": {"lm": "openai/y"}},
    )
    written = json.dumps(options_to_plain(options))
    assert key not in written
    again = options_from_plain(json.loads(written))
    assert again == options.updated(steps={"one": {"timeout_s": 2}, "two": {"lm": "openai/y"}})
