"""Runs that wait for people: asked, answered from any thread, once; timeouts, cancelling, and going on later."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from dspex_lab.errors import Cancelled, PipelineError, ValidationError
from dspex_lab.lab import Lab
from dspex_lab.pipelines import Pipeline, Run, RunState, ask, each, native, parallel
from dspex_lab.settings import Settings
from dspex_lab.testing import FakeBackend, FakeClock
from dspex_lab.testing.stage import Stage

LIMIT_S = 10.0
OK = "approved: bool, comment: str = ''"


def wait_for_question(run: Run, count: int = 1) -> None:
    """Come back when the run has asked ``count`` questions."""
    asked = 0
    for event in run.events():
        asked += event.name == "run.question"
        if asked == count:
            return
    raise AssertionError("the run ended without asking")


@pytest.fixture
def made(stage: Stage) -> Pipeline:
    return stage.pipeline(
        reply=native(lambda q: f"Dear {q}"),
        check=ask("Is this reply all right?", shows=["reply"], answer=OK),
        last=native(lambda approved, comment: [approved, comment]),
    )


def test_a_run_waits_and_goes_on_when_it_is_answered(made: Pipeline) -> None:
    """It shows what to look at; the answer is what the step writes."""
    run = made.submit(q="x")
    wait_for_question(run)
    (question,) = run.questions
    assert (question.step, question.text, question.shows) == ("check", "Is this reply all right?", {"reply": "Dear x"})
    assert run.state is RunState.WAITING
    run.answer(approved=True, comment="fine")
    assert run.result(LIMIT_S)["last"] == [True, "fine"]
    assert (run.questions, run.metrics["check"].status) == ((), "succeeded")


def test_a_wrong_answer_is_told_at_its_field_and_asked_again(made: Pipeline) -> None:
    """The run goes on waiting."""
    run = made.submit(q="x")
    wait_for_question(run)
    with pytest.raises(ValidationError) as caught:
        run.answer({"approved": "perhaps", "coment": "x"})
    assert [fault["field"] for fault in caught.value.errors] == ["approved", "coment"]
    assert run.state is RunState.WAITING
    run.answer(False)
    assert run.result(LIMIT_S)["last"] == [False, ""]


def test_an_answer_comes_from_any_thread_once(made: Pipeline) -> None:
    """Of many at a time one is taken; the others are told that there is nothing to answer."""
    run = made.submit(q="x")
    wait_for_question(run)
    refused: list[PipelineError] = []

    def answer(number: int) -> None:
        try:
            run.answer(approved=True, comment=str(number))
        except PipelineError as error:
            refused.append(error)

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run.result(LIMIT_S)["approved"] is True
    assert len(refused) == 7


def test_several_questions_are_told_apart(stage: Stage) -> None:
    """By their steps, or by the questions themselves; inside ``each`` every item asks its own."""
    run = stage.pipeline(
        both=parallel(a=ask("A?", answer="x: int"), b=ask("B?", answer="y: int")),
        rows=each(ask("Item?", shows=["item"], answer="z: int"), over="items", item="item"),
    ).submit(items=[1, 2])
    wait_for_question(run, 4)
    with pytest.raises(PipelineError, match="asks 4 questions") as caught:
        run.answer(1)
    assert "'a', 'b'" in (caught.value.hint or "")
    with pytest.raises(PipelineError, match="does not ask 'c'"):
        run.answer(1, question="c")
    run.answer(1, question="a")
    run.answer(2, question="b")
    for question in run.questions:
        run.answer(question.shows["item"] * 10, question=question)
    assert run.result(LIMIT_S) == {"x": 1, "y": 2, "z": [10, 20]}


def test_nothing_is_answered_that_was_not_asked(stage: Stage) -> None:
    """A run that asks nothing says so."""
    run = stage.pipeline(a=native(lambda q: q)).submit(q=1)
    run.result(LIMIT_S)
    with pytest.raises(PipelineError, match="asks nothing now"):
        run.answer(True)


def test_a_run_that_waits_can_be_cancelled(made: Pipeline) -> None:
    """Its question is withdrawn."""
    run = made.submit(q="x")
    wait_for_question(run)
    assert run.cancel()
    with pytest.raises(Cancelled):
        run.result(LIMIT_S)
    assert (run.questions, run.state) == ((), RunState.CANCELLED)


@pytest.mark.parametrize("default", [None, {"approved": False}])
def test_time_that_is_up_answers_or_ends_the_question(stage: Stage, default: Any) -> None:
    """With a default the run goes on with that, without one its step fails."""
    clock = FakeClock()
    stage.router._clock = clock
    run = stage.pipeline(check=ask("Well?", answer=OK, timeout_s=60, default=default)).submit()
    wait_for_question(run)
    stage.portal.run(clock.wait_for_sleepers)
    clock.advance(61)
    if default is not None:
        assert run.result(LIMIT_S) == {"approved": False, "comment": ""}
        return
    with pytest.raises(PipelineError, match="check had no answer within 60 s"):
        run.result(LIMIT_S)


def test_who_waits_without_a_panel_reads_the_question(made: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    """Its text, what to look at, the fields, and the line that answers it; nothing where a panel shows it."""
    for is_shown in (False, True):
        run = made.submit(q="x")
        run.is_shown = is_shown
        wait_for_question(run)
        timer = threading.Timer(0.05, run.answer, (True,))
        timer.start()
        run.result(LIMIT_S)
        timer.join()
        shown = capsys.readouterr().out
        if is_shown:
            assert shown == ""
        else:
            assert "? check: Is this reply all right?\n  reply: Dear x\n  → approved: bool\n" in shown
            assert f'lab.run("{run.id[:8]}").answer(approved=..., comment=...)' in shown


def test_steps_beside_a_question_go_on(stage: Stage) -> None:
    """The run waits with one step and works on another."""
    done = threading.Event()

    def other(q: int) -> int:
        done.set()
        return q

    run = stage.pipeline(both=parallel(check=ask("Well?", answer="x: int"), other=native(other))).submit(q=1)
    wait_for_question(run)
    assert done.wait(LIMIT_S)
    run.answer(3)
    assert run.result(LIMIT_S)["x"] == 3


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.create(data_dir=tmp_path / "data")


def test_what_was_answered_is_not_asked_again(settings: Settings) -> None:
    """After a restart the run asks only what is open; in between it is interrupted."""

    def define(lab: Lab) -> Pipeline:
        steps = {
            "first": ask("First?", answer="x: int"),
            "second": ask("Second?", shows=["x"], answer="y: int"),
            "total": native(lambda x, y: x + y),
        }
        made = Pipeline("survey", steps, start=lab.launcher.start)
        lab.pipelines.replace("survey", made)
        return made

    with Lab(settings, backend=FakeBackend({})) as lab:
        run = define(lab).submit()
        wait_for_question(run)
        assert lab.history.records()[0].state == "waiting"
        run.answer(1)
        wait_for_question(run, 2)
    with Lab(settings, backend=FakeBackend({})) as lab:
        define(lab)
        past = lab.history.unfinished("survey")
        assert past is not None
        assert past.state == "interrupted"
        with pytest.raises(PipelineError, match="is not under way here"):
            past.answer(y=2)
        again = past.resume()
        wait_for_question(again)
        assert [question.step for question in again.questions] == ["second"]
        again.answer(2)
        assert again.result(LIMIT_S)["total"] == 3


def test_a_question_is_a_program_too(stage: Stage) -> None:
    """Asked alone, it gives its fields."""

    async def answered() -> Any:
        run = stage.program(ask("Well?", answer="x: int")).submit()
        await asyncio.to_thread(wait_for_question, run)
        run.answer(4)
        return await run

    assert asyncio.run(answered()) == {"x": 4}
