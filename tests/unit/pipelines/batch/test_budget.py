"""What all rows of a batch may use together."""

from __future__ import annotations

import pytest

from dspex_lab.calls import Usage
from dspex_lab.errors import BudgetExceeded, ConfigurationError, PipelineError
from dspex_lab.pipelines import Pipeline, predict
from dspex_lab.pipelines.batch.statistics import BatchState
from dspex_lab.router import Budget
from dspex_lab.testing.stage import Stage

#: A call on the stage takes 15.
TOKENS = 15


def mood(stage: Stage) -> Pipeline:
    return stage.pipeline(mood=predict("q -> mood"))


def test_all_rows_pay_from_it(stage: Stage) -> None:
    """When it is used up no more rows begin, and what there is is given."""
    batch = mood(stage).map(
        range(10), concurrency=1, budget=Budget(max_tokens_total=3 * TOKENS), progress=False, wait=False
    )
    table = batch.result(10)
    assert (len(table), len(stage.backend.calls), batch.state) == (3, 3, BatchState.STOPPED)
    assert batch.account.spent == Usage(30, 15, 0.03, 3)


def test_rows_under_way_end_with_it(stage: Stage) -> None:
    """A row whose next step can no longer be paid has that as its error."""
    made = stage.pipeline(a=predict("q -> a"), b=predict("a -> b"))
    batch = made.map(["x"], budget=Budget(max_tokens_total=TOKENS), progress=False, wait=False)
    batch.result(10)
    assert [type(one) for one in batch.errors.values()] == [PipelineError]
    assert isinstance(batch.errors[0].__cause__, BudgetExceeded)
    assert "The batch has used 15 tokens" in str(batch.errors[0])


def test_a_budget_that_suffices_is_not_noticed(stage: Stage) -> None:
    """The last row may use the last of it."""
    batch = mood(stage).map(
        range(3), concurrency=1, budget=Budget(max_tokens_total=3 * TOKENS), progress=False, wait=False
    )
    batch.result(10)
    assert (batch.state, batch.statistics().succeeded) == (BatchState.FINISHED, 3)


def test_each_row_keeps_a_budget_of_its_own(stage: Stage) -> None:
    """That of the pipeline's runs bounds each row, that of the batch all of them."""
    made = stage.pipeline(a=predict("q -> a"), b=predict("a -> b")).options(budget=Budget(max_tokens_total=TOKENS))
    batch = made.map(range(5), concurrency=1, budget=Budget(max_tokens_total=3 * TOKENS), progress=False, wait=False)
    batch.result(10)
    assert (batch.statistics().failed, batch.account.spent.lm_calls) == (3, 3)
    assert "The run has used" in str(batch.errors[0])


def test_a_batch_goes_on_with_another_budget(kept_stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """The rows that were left are run, and no other; the way on was said."""
    made = mood(kept_stage)
    made.map(range(5), concurrency=1, budget=Budget(max_tokens_total=2 * TOKENS), progress=True)
    assert "Its budget is used up: 2 of 5 rows" in capsys.readouterr().err
    table = made.map(range(5), concurrency=1, resume=True, budget=Budget(max_tokens_total=3 * TOKENS), progress=False)
    assert (len(table), len(kept_stage.backend.calls)) == (5, 5)


def test_a_number_is_no_budget(stage: Stage) -> None:
    """Of what?"""
    with pytest.raises(ConfigurationError, match="no budget"):
        mood(stage).map([1], budget=100)  # type: ignore[arg-type]  # what users may write
