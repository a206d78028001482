"""Orders from panels elsewhere about the runs of this process: carried out here, by the run's own rules."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from dspex_lab.errors import HostUnavailable
from dspex_lab.pipelines import Pipeline, Run, RunDesk, RunState, ask, native
from dspex_lab.testing.stage import Stage
from dspex_lab.wire.messages import RUN_ANSWER, RUN_CANCEL, RUN_RERUN

LIMIT_S = 10.0


class Picky(BaseModel):
    """Some user's type, whose check fails in its own way."""

    x: int

    @field_validator("x")
    @classmethod
    def _refuse(cls, value: int) -> int:
        raise RuntimeError(f"not {value}")


@pytest.fixture
def made(stage: Stage) -> Pipeline:
    return stage.pipeline(
        reply=native(lambda q: f"Dear {q}"),
        check=ask("Is this reply all right?", shows=["reply"], answer="approved: bool, stars: int = 3"),
        last=native(lambda approved, stars: [approved, stars]),
    )


class Desk:
    """A desk on the stage's loop, and what it told."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.told: list[dict[str, Any]] = []
        self.is_lost = False
        self._heard = asyncio.Event()
        self.desk = RunDesk(stage.launcher, self._tell)

    async def _tell(self, method: str, **params: Any) -> None:
        self.told.append({"method": method, **params})
        self._heard.set()
        if self.is_lost:
            raise HostUnavailable("gone")

    def give(self, name: str, run_id: str, **attributes: Any) -> dict[str, Any]:
        """Give an order; what came of it."""

        async def heed() -> None:
            self._heard.clear()
            self.desk.heed(name, {"order": "o", "run_id": run_id, **attributes})
            async with asyncio.timeout(LIMIT_S):
                await self._heard.wait()

        self._stage.portal.run(heed)
        return self.told[-1]


@pytest.fixture
def desk(stage: Stage) -> Desk:
    return Desk(stage)


def waiting(run: Run) -> str:
    """The id of what the run asks."""
    for event in run.events():
        if event.name == "run.question":
            return str(event.attributes["id"])
    raise AssertionError("the run ended without asking")


def test_what_was_typed_answers_the_question(made: Pipeline, desk: Desk) -> None:
    """It is read by the question's own fields, and the run goes on."""
    run = made.submit(q="x")
    told = desk.give(RUN_ANSWER, run.id, question=waiting(run), values={"approved": True, "stars": 5})
    assert told == {"method": "runs.told", "order": "o", "has_run": True, "value": None}
    assert run.result(LIMIT_S)["last"] == [True, 5]


@pytest.mark.parametrize(
    ("values", "fields"),
    [({"approved": "perhaps"}, ["approved"]), ({"approved": True, "code": "1"}, ["code"]), ("print()", ["approved"])],
)
def test_what_is_no_answer_is_refused_field_by_field(
    made: Pipeline, desk: Desk, values: Any, fields: list[str]
) -> None:
    """The run goes on waiting."""
    run = made.submit(q="x")
    told = desk.give(RUN_ANSWER, run.id, question=waiting(run), values=values)
    assert [fault["field"] for fault in told["error"]["errors"]] == fields
    assert run.state is RunState.WAITING
    run.cancel()


def test_an_answer_that_comes_too_late_is_told_so(made: Pipeline, desk: Desk) -> None:
    """As the run's own error; a run that is not here is no error, another notebook may have it."""
    run = made.submit(q="x")
    question = waiting(run)
    run.answer(approved=True)
    run.result(LIMIT_S)
    assert desk.give(RUN_ANSWER, run.id, question=question, values={})["error"]["type"] == "PipelineError"
    assert desk.give(RUN_ANSWER, "elsewhere")["has_run"] is False


def test_a_run_is_begun_again_from_a_step(stage: Stage, desk: Desk) -> None:
    """With the inputs that it had; the new run's id is told. What cannot be is refused with the run's own words."""
    calls: list[str] = []
    run = stage.pipeline(a=native(lambda x: calls.append("a")), b=native(lambda a: calls.append("b"))).submit(x=1)
    run.result(LIMIT_S)
    told = desk.give(RUN_RERUN, run.id, step="b")
    again = stage.launcher.find(told["value"])
    assert again is not None
    assert again.id != run.id
    again.result(LIMIT_S)
    assert calls == ["a", "b", "b"]
    assert "has no step z" in desk.give(RUN_RERUN, run.id, step="z")["error"]["message"]


def test_a_fault_of_a_user_s_type_is_told(stage: Stage, desk: Desk) -> None:
    """Whoever answered hears of it, and the run goes on waiting."""
    step = ask("Well?", answer="n: Picky", namespace={"Picky": Picky})
    run = stage.pipeline(a=step).submit()
    told = desk.give(RUN_ANSWER, run.id, question=waiting(run), values={"n": {"x": 1}})
    assert "not 1" in told["error"]["message"]
    run.cancel()


def test_cancelling_and_unknown_notices_are_told_to_nobody(made: Pipeline, stage: Stage, desk: Desk) -> None:
    """A run that is cancelled says so by its events; what a newer host may say is passed over."""
    run = made.submit(q="x")
    waiting(run)
    stage.portal.call_soon(desk.desk.heed, "run.explode", {"run_id": run.id})
    stage.portal.call_soon(desk.desk.heed, RUN_CANCEL, {"run_id": run.id})
    with pytest.raises(Exception, match="ancelled"):
        run.result(LIMIT_S)
    assert desk.told == []


def test_a_host_that_is_gone_is_no_trouble(made: Pipeline, desk: Desk) -> None:
    """The run has its answer all the same."""
    run = made.submit(q="x")
    desk.is_lost = True
    desk.give(RUN_ANSWER, run.id, question=waiting(run), values={"approved": True})
    assert run.result(LIMIT_S)["last"] == [True, 3]
