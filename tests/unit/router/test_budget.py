"""What a run may use, and what it has used."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.calls import Usage
from dspex_lab.errors import BudgetExceeded, ConfigurationError, DeadlineExceeded
from dspex_lab.router import Account, Budget
from dspex_lab.testing import FakeClock


def account(**limits: float) -> Account:
    return Account(Budget(**limits), FakeClock())  # type: ignore[arg-type]


@given(
    limit=st.integers(1, 1000), uses=st.lists(st.builds(Usage, st.integers(0, 200), st.integers(0, 200)), max_size=20)
)
def test_tokens_read_and_written_are_counted_together(limit: int, uses: list[Usage]) -> None:
    """Another try is refused exactly when what was used has reached the limit."""
    books = account(max_tokens_total=limit)
    for usage in uses:
        books.charge(usage)
    used = sum(one.input_tokens + one.output_tokens for one in uses)
    if used < limit:
        books.check()
        return
    with pytest.raises(BudgetExceeded) as caught:
        books.check()
    assert (caught.value.unit, caught.value.limit, caught.value.spent) == ("tokens", limit, used)


def test_costs_are_counted_where_the_price_is_known() -> None:
    """A model without a price costs nothing that could be counted; it is told how many such calls there were."""
    books = account(max_cost=0.05)
    books.charge(Usage(10, 10, None, 3))
    books.charge(Usage(10, 10, 0.04, 1))
    books.check()
    books.charge(Usage(10, 10, 0.01, 1))
    with pytest.raises(BudgetExceeded, match=r"cost \$0.05 of the \$0.05"):
        books.check()
    assert books.statistics().unpriced_calls == 3


def test_a_budget_that_is_used_up_is_not_tried_again() -> None:
    """BudgetExceeded is not retryable, and its hint says what to raise."""
    books = account(max_tokens_total=5)
    books.charge(Usage(5, 0))
    with pytest.raises(BudgetExceeded, match="max_tokens_total=") as caught:
        books.check()
    assert not caught.value.retryable


def test_the_deadline_runs_from_the_start_of_the_run() -> None:
    """What is left shrinks with the clock; at its end there is no further try."""
    clock = FakeClock()
    books = Account(Budget(deadline_s=10), clock)
    clock.advance(4)
    assert books.remaining_s() == 6
    books.check()
    clock.advance(6)
    with pytest.raises(DeadlineExceeded, match="10 s"):
        books.check()


def test_without_limits_nothing_is_refused() -> None:
    """An account with an empty budget only counts."""
    books = account()
    books.charge(Usage(10**9, 10**9, 1e6, 1))
    books.check()
    assert books.remaining_s() is None
    assert repr(books) == "<Account [tokens: 2000000000, $1e+06, calls: 1]>"


@pytest.mark.parametrize("limits", [{"max_tokens_total": 0}, {"max_cost": -1.0}, {"deadline_s": 0.0}])
def test_a_budget_that_allows_nothing_is_refused(limits: dict[str, float]) -> None:
    """A limit of zero or less is an error where it is written."""
    with pytest.raises(ConfigurationError, match=next(iter(limits))):
        Budget(**limits)  # type: ignore[arg-type]
