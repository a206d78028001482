"""A run's budget: shared by its steps, told by the run, and gone with it."""

from __future__ import annotations

import threading

import pytest

from dspex_lab.calls import Usage
from dspex_lab.errors import BudgetExceeded, ConfigurationError, ModelError, PipelineError
from dspex_lab.pipelines import native, predict
from dspex_lab.router import Budget
from dspex_lab.testing.stage import Stage


def test_steps_share_the_budget_of_their_run(stage: Stage) -> None:
    """The third call finds the tokens used up; the step that asked is named, and the account can be looked at."""
    made = stage.pipeline(a=predict("q -> a"), b=predict("a -> b"), c=predict("b -> c"))
    run = made.options(budget=Budget(max_tokens_total=30)).submit(q="?")
    with pytest.raises(PipelineError, match="30 tokens of the 30"):
        run.result()
    assert isinstance(run.errors["c"], BudgetExceeded)
    assert run.account is not None
    assert run.account.spent == Usage(20, 10, 0.02, 2)
    assert len(stage.backend.calls) == 2


def test_each_run_has_an_account_of_its_own(stage: Stage) -> None:
    """What one run used is not missed by the next."""
    made = stage.pipeline(a=predict("q -> a")).options(budget=Budget(max_tokens_total=15))
    for _ in range(3):
        assert made(q="?").a == "a of q"


def test_without_a_budget_there_is_no_account(stage: Stage) -> None:
    """Nothing is counted that nobody asked for."""
    run = stage.pipeline(a=native(lambda q: q)).submit(q="?")
    run.result()
    assert run.account is None


def test_what_could_be_had_for_the_budget_is_kept(stage: Stage) -> None:
    """With continue_on_error the results before the end of the budget are the run's."""
    made = stage.pipeline(a=predict("q -> a"), b=predict("a -> b"), c=native(lambda a: a.upper()))
    result = made.options(budget=Budget(max_tokens_total=15), continue_on_error=True)(q="?")
    assert result.to_dict() == {"a": "a of q", "c": "A OF Q"}
    assert [(name, type(error)) for name, error in result.errors.items()] == [("b", BudgetExceeded)]


def test_what_is_no_budget_is_refused(stage: Stage) -> None:
    """A number is not enough: of what?"""
    with pytest.raises(ConfigurationError, match="no budget"):
        stage.pipeline(a=native(lambda q: q)).options(budget=100)


def test_functions_go_straight_where_only_models_are_counted(stage: Stage) -> None:
    """A budget of tokens is no reason to wait for the event loop."""
    is_open, is_held = threading.Event(), threading.Event()

    def hold() -> None:
        is_held.set()
        is_open.wait(10)

    holding = threading.Thread(target=lambda: stage.portal.call_soon(hold))
    holding.start()
    assert is_held.wait(10)
    made = stage.pipeline(a=native(lambda q: q), b=native(lambda a: a)).options(budget=Budget(max_tokens_total=1))
    assert made.submit(q="?").result(10).b == "?"
    is_open.set()
    holding.join(10)


def test_a_function_is_left_when_the_time_of_its_run_is_up(stage: Stage) -> None:
    """A deadline holds for functions that block, too."""
    is_open = threading.Event()
    made = stage.pipeline(a=native(lambda q: is_open.wait(10))).options(budget=Budget(deadline_s=0.05))
    with pytest.raises(PipelineError, match=r"time of 0\.05 s is used up"):
        made.submit(q="?").result(10)
    is_open.set()


def test_the_model_in_place_of_a_function_is_charged(stage: Stage) -> None:
    """What follows a function that failed on its way is paid from the same account."""

    def fail(q: str) -> str:
        raise ModelError("no", retryable=True)

    steps = {"a": native(fail, retry=0, fallback=[predict("q -> a")]), "b": predict("a -> b")}
    run = stage.pipeline(**steps).options(budget=Budget(max_tokens_total=15)).submit(q="?")
    with pytest.raises(PipelineError, match="15 tokens of the 15"):
        run.result(10)
