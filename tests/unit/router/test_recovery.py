"""Retries, circuits, budgets and fallbacks as the router puts them together, over a model that fails as scripted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dspex_lab.calls import LmSpec, Usage
from dspex_lab.errors import (
    BudgetExceeded,
    Cancelled,
    CircuitOpen,
    DeadlineExceeded,
    LabError,
    ModelError,
    PipelineError,
    PythonError,
    ValidationError,
)
from dspex_lab.pipelines import native, parallel, predict
from dspex_lab.router import Account, Budget, Circuit, Operation

from .conftest import Scripted

DOWN = ModelError("down", "openai/big", 503, retryable=True)
ASK = predict("q -> answer", retry=0)


async def told(work: Any, kind: type[LabError]) -> LabError:
    with pytest.raises(kind) as caught:
        await work
    return caught.value


# --- retry --------------------------------------------------------------------------------------------------------


async def test_a_rate_limit_is_waited_for_as_long_as_was_asked(scripted: Scripted) -> None:
    """The next try comes no earlier than retry-after, and the wait is told with its reason."""
    scripted.answers = [ModelError("slow down", "openai/big", 429, retry_after_s=7.0, retryable=True), "yes"]
    work = asyncio.ensure_future(scripted.run(predict("q -> answer")))
    await scripted.clock.wait_for_sleepers()
    await scripted.clock.run_for(6.99)
    assert len(scripted.models) == 1
    await scripted.clock.run_for(0.51)
    assert (await work).retries == 1
    (retry,) = scripted.named("router.retry")
    assert (retry["retry"], retry["asked_s"], retry["error_type"]) == (1, 7.0, "ModelError")
    assert retry["reason"] == "slow down"
    assert 7.0 <= retry["wait_s"] <= 7.5


async def test_a_wait_that_passes_the_deadline_is_not_begun(scripted: Scripted) -> None:
    """A step with two seconds left does not wait for seven."""
    scripted.answers = [ModelError("slow down", "openai/big", 429, retry_after_s=7.0, retryable=True)]
    error = await told(scripted.run(predict("q -> answer", timeout_s=2)), DeadlineExceeded)
    assert "no time left to try again: slow down" in error.message
    assert scripted.named("router.retry") == []


async def test_a_refused_output_is_told_as_a_retry(scripted: Scripted) -> None:
    """It is asked for again at once, with the reason."""
    scripted.answers = ["four", "four", "five", "five", "4"]  # each is asked for in two forms
    outcome = await scripted.run(predict("q -> answer: int"))
    assert outcome.outputs == {"answer": 4}
    assert [one["reason"] for one in scripted.named("router.retry")] == ["the output breaks its signature"] * 2
    assert dict(scripted.router.statistics().by_retry) == {"ValidationError": 2}


# --- circuit ------------------------------------------------------------------------------------------------------


async def opened(scripted: Scripted) -> None:
    scripted.answers = [DOWN] * 3
    for _ in range(3):
        await told(scripted.run(ASK), ModelError)


async def test_a_model_that_keeps_failing_is_left_alone(scripted: Scripted) -> None:
    """After so many failures calls are refused without asking, and it is told."""
    await opened(scripted)
    error = await told(scripted.run(ASK), CircuitOpen)
    assert "in 30 s" in str(error.hint)
    assert len(scripted.models) == 3
    (change,) = scripted.named("router.circuit")
    assert (change["target"], change["state"], change["reason"]) == ("openai/big", "open", "3 failures in a row")


async def test_a_probe_that_is_answered_ends_the_trouble(scripted: Scripted) -> None:
    """After the rest the model is asked again; both changes are told."""
    await opened(scripted)
    scripted.clock.advance(30)
    assert (await scripted.run(ASK)).outputs == {"answer": "yes"}
    assert [one["state"] for one in scripted.named("router.circuit")] == ["open", "half-open", "closed"]


async def test_an_open_circuit_falls_back_at_once(scripted: Scripted) -> None:
    """Where another model is named, nobody waits."""
    await opened(scripted)
    outcome = await scripted.run(predict("q -> answer", fallback="openai/other"))
    assert outcome.outputs == {"answer": "yes"}
    assert scripted.models[3:] == ["openai/other"]
    assert "CircuitOpen" in scripted.named("router.route")[-1]["reason"]


async def test_another_address_is_another_target(scripted: Scripted) -> None:
    """The same model elsewhere is asked as ever."""
    await opened(scripted)
    elsewhere = predict("q -> answer", lm=LmSpec("openai/big", api_base="http://elsewhere/v1"))
    assert (await scripted.run(elsewhere)).outputs == {"answer": "yes"}


@pytest.mark.parametrize(
    "error",
    [ModelError("slow down", status=429, retryable=True), PythonError("KeyError"), ModelError("no such", status=404)],
)
async def test_what_is_no_fault_of_the_model_leaves_the_circuit_closed(scripted: Scripted, error: LabError) -> None:
    """Rate limits, mistakes of the user and refusals never open it."""
    scripted.answers = [error] * 5
    for _ in range(5):
        await told(scripted.run(ASK), type(error))
    assert scripted.router.breakers.of("openai/big").state is Circuit.CLOSED


async def test_a_probe_that_was_cancelled_makes_room_for_the_next(scripted: Scripted) -> None:
    """A cancel says nothing of the model."""
    await opened(scripted)
    scripted.clock.advance(30)
    scripted.answers = [Cancelled("stop")]
    await told(scripted.run(ASK), Cancelled)
    assert (await scripted.run(ASK)).outputs == {"answer": "yes"}


async def test_functions_in_the_notebook_have_no_circuit(scripted: Scripted) -> None:
    """The user's own errors are the user's."""

    def fail(q: str) -> str:
        raise DOWN

    for _ in range(5):
        await told(scripted.run(native(fail, writes="answer", retry=0)), ModelError)
    assert scripted.router.breakers.statistics() == ()


# --- budget -------------------------------------------------------------------------------------------------------


async def test_a_run_stops_asking_when_its_tokens_are_used_up(scripted: Scripted) -> None:
    """Each response is charged; the next try is refused and not repeated."""
    context = scripted.context(max_tokens_total=30)
    await scripted.run(ASK, context=context)
    await scripted.run(ASK, context=context)
    error = await told(scripted.run(ASK, context=context), BudgetExceeded)
    assert isinstance(error, BudgetExceeded)
    assert (error.limit, error.spent, len(scripted.models)) == (30, 30, 2)


async def test_refused_and_unreadable_replies_are_charged(scripted: Scripted) -> None:
    """What a model used for nothing is used all the same; the second question in JSON is checked too."""
    scripted.answers = ["no number"] * 9
    context = scripted.context(max_tokens_total=40)
    await told(scripted.run(predict("q -> answer: int", output_retries=9), context=context), BudgetExceeded)
    assert len(scripted.models) == 3
    assert context.account is not None
    assert context.account.spent == Usage(30, 15, 0.03, 3)


async def test_a_budget_that_is_used_up_does_not_fall_back(scripted: Scripted) -> None:
    """Another model would cost, too; nor does another step stand in."""
    account = Account(Budget(max_cost=0.005), scripted.clock)
    account.charge(Usage(1, 1, 0.005, 1))
    leaf = predict("q -> answer", fallback=["openai/other", native(lambda q: q)])
    await told(scripted.run(leaf, context=scripted.context(account)), BudgetExceeded)
    assert scripted.models == []


async def test_functions_go_on_when_the_tokens_are_used_up(scripted: Scripted) -> None:
    """What asks no model costs none: the last answer can still be made ready."""
    context = scripted.context(max_tokens_total=15)
    await scripted.run(ASK, context=context)
    assert (await scripted.run(native(guess, writes="x"), context=context)).outputs == {"x": "guess: ?"}


async def test_the_run_s_deadline_bounds_each_call(scripted: Scripted) -> None:
    """A call gets what is left of the run's time, or of the step's when that is less."""
    context = scripted.context(deadline_s=10)
    scripted.clock.advance(4)
    await scripted.run(ASK, context=context)
    await scripted.run(predict("q -> answer", timeout_s=2), context=context)
    assert [call.timeout_s for call in scripted.backend.calls] == [6, 2]
    scripted.clock.advance(6)
    await told(scripted.run(predict("q -> answer", fallback="openai/other"), context=context), DeadlineExceeded)
    assert len(scripted.models) == 2


async def test_the_run_s_deadline_bounds_functions_too(scripted: Scripted) -> None:
    """A function in the notebook is not waited for past the run's time."""

    async def forever(q: str) -> str:
        await asyncio.Event().wait()
        return q

    work = asyncio.ensure_future(scripted.run(native(forever, writes="x"), context=scripted.context(deadline_s=5)))
    await scripted.clock.wait_for_sleepers()
    scripted.clock.advance(5)
    await told(work, DeadlineExceeded)


# --- fallback -----------------------------------------------------------------------------------------------------


def guess(q: str) -> str:
    return f"guess: {q}"


async def test_another_step_stands_in_for_a_model(scripted: Scripted) -> None:
    """A function gives the outputs when the model fails for good; route and reason are told."""
    scripted.answers = [DOWN]
    outcome = await scripted.run(predict("q -> answer", retry=0, fallback=native(guess)))
    assert (outcome.outputs, outcome.route) == ({"answer": "guess: ?"}, "native")
    reason = scripted.named("router.route")[1]["reason"]
    assert reason.startswith("fallback 1, after ModelError (down): ")
    assert scripted.router.statistics().fallbacks == 1


async def test_a_model_stands_in_for_a_function(scripted: Scripted) -> None:
    """Where another implementation is named, the function's own exception is no end."""

    def fail(q: str) -> str:
        raise KeyError(q)

    leaf = native(fail, writes="reply", fallback=predict("q -> answer"))
    assert (await scripted.run(leaf)).outputs["reply"] == "yes"


async def test_models_pools_and_steps_are_tried_in_their_order(scripted: Scripted) -> None:
    """One list may hold all of them, and a step brings fallbacks of its own."""
    scripted.answers = [DOWN, DOWN, DOWN, DOWN]
    inner = predict("q -> answer", retry=0, lm="openai/third", fallback=native(guess))
    leaf = predict("q -> answer", retry=0, fallback=["openai/other", "spare", inner])
    assert (await scripted.run(leaf)).outputs == {"answer": "guess: ?"}
    assert scripted.models == ["openai/big", "openai/other", "openai/big", "openai/third"]
    assert [call.pool for call in scripted.backend.calls] == ["general", "general", "spare", "general"]


async def test_what_stands_in_obeys_the_signature(scripted: Scripted) -> None:
    """Outputs of a fallback are validated as the step's own; one that does not fit makes way for the next."""
    scripted.answers = [DOWN]
    leaf = predict("q -> answer: int", retry=0, fallback=[native(guess), native(lambda: "4")])
    assert (await scripted.run(leaf)).outputs == {"answer": 4}


async def test_a_fallback_has_a_time_of_its_own_within_the_step_s(scripted: Scripted) -> None:
    """timeout_s of the fallback runs from its own begin, and ends with the step's."""
    scripted.answers = [DOWN, DOWN]
    leaf = predict("q -> answer", retry=0, timeout_s=9, fallback=predict("q -> answer", retry=0, timeout_s=3))
    await told(scripted.run(leaf), ModelError)
    assert [call.timeout_s for call in scripted.backend.calls] == [9, 3]


async def test_wrong_inputs_do_not_fall_back(scripted: Scripted) -> None:
    """What does not fit the step fits nowhere: it is the caller's mistake."""
    leaf = predict("q: int -> answer", fallback=native(lambda q: "?"))
    await told(scripted.run(leaf, {"q": "four"}), ValidationError)


async def test_the_router_takes_an_operation_as_a_fallback(scripted: Scripted) -> None:
    """Without writes of its own it writes what the step does."""
    scripted.answers = [DOWN]
    leaf = predict("q -> answer", retry=0, fallback=Operation("native", "guess", (), function=guess))
    assert (await scripted.run(leaf)).outputs == {"answer": "guess: ?"}


@pytest.mark.parametrize(
    ("fallback", "fault"),
    [
        (lambda: native(lambda other: other), "reads other"),
        (lambda: predict("q -> reply, more"), "writes reply, more"),
        (lambda: parallel(a=native(guess)), "not to parallel"),
        (lambda: guess, "is no step"),
        (lambda: 3, "is no fallback"),
    ],
)
def test_what_cannot_stand_in_is_an_error_where_it_is_written(fallback: Any, fault: str) -> None:
    """A fallback that reads or writes something else, and what is none, fails before anything runs."""
    with pytest.raises(LabError, match=fault):
        predict("q -> answer, sure: bool", fallback=fallback())


def test_a_fallback_may_leave_out_what_has_a_default() -> None:
    """A parameter with a default need not be a field of the step."""
    leaf = predict("q -> answer", fallback=native(lambda q, style="plain": q))
    assert len(leaf.options.fallback) == 1


def test_a_single_value_takes_the_step_s_name() -> None:
    """One output stands in for one, whatever it is called."""
    with pytest.raises(PipelineError):
        predict("q -> a, b", fallback=predict("q -> c"))
    assert predict("q -> a", fallback=predict("q -> c")).options.fallback
