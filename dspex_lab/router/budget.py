"""Budgets: how much a run may use, and the account of what it has used.

A :class:`Budget` is a value; each run has an :class:`Account` of its own, which the router charges with what responses
say that they used. What is under way when the last of it is used up goes on: a run may end a little above.
"""

from __future__ import annotations

from dataclasses import dataclass

from dspex_lab.calls import Usage
from dspex_lab.clock import Clock
from dspex_lab.errors import BudgetExceeded, ConfigurationError, DeadlineExceeded

__all__ = ["Account", "AccountStatistics", "Budget"]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may use in all; None: no limit. Refused and repeated tries count, what comes from a cache does not.

    ``max_tokens_total`` counts what models read and wrote, ``max_cost`` is in US dollars and counts the calls whose
    price is known, ``deadline_s`` runs from the start of the run.
    """

    max_tokens_total: int | None = None
    max_cost: float | None = None
    deadline_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_tokens_total", "max_cost", "deadline_s"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise ConfigurationError(f"{name} is more than zero.", f"budget.{name}", "a number", repr(limit))


@dataclass(frozen=True, slots=True)
class AccountStatistics:
    """What a run has used of its budget. ``unpriced_calls`` are calls to models whose price is not known, which
    ``max_cost`` cannot bound; ``remaining_s`` is None without a deadline."""

    budget: Budget
    spent: Usage
    unpriced_calls: int
    remaining_s: float | None


class Account:
    """What one run has used; opened when the run starts. Lives on the router's event loop."""

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self.budget = budget
        self._clock = clock
        self._started = clock.monotonic()
        self._spent = Usage()
        self._unpriced_calls = 0

    @property
    def spent(self) -> Usage:
        return self._spent

    def charge(self, usage: Usage) -> None:
        """Count what a response says that it used."""
        self._spent = self._spent + usage
        if usage.cost is None:
            self._unpriced_calls += usage.lm_calls

    def remaining_s(self) -> float | None:
        """Seconds left of the run's time; None: no limit."""
        if self.budget.deadline_s is None:
            return None
        return self._started + self.budget.deadline_s - self._clock.monotonic()

    def check(self) -> None:
        """Raise ``BudgetExceeded`` or ``DeadlineExceeded`` when there is nothing left for asking a model."""
        budget, spent = self.budget, self._spent
        tokens = spent.input_tokens + spent.output_tokens
        if budget.max_tokens_total is not None and tokens >= budget.max_tokens_total:
            raise BudgetExceeded(
                f"The run has used {tokens:,} tokens of the {budget.max_tokens_total:,} that it may.",
                "tokens",
                budget.max_tokens_total,
                tokens,
                hint=_MORE.format("max_tokens_total"),
            )
        if budget.max_cost is not None and spent.cost is not None and spent.cost >= budget.max_cost:
            raise BudgetExceeded(
                f"The run has cost ${spent.cost:.4g} of the ${budget.max_cost:.4g} that it may.",
                "dollars",
                budget.max_cost,
                spent.cost,
                hint=_MORE.format("max_cost"),
            )
        self.check_time()

    def check_time(self) -> None:
        """Raise ``DeadlineExceeded`` when the run's time is used up: that holds for what asks no model, too."""
        left_s = self.remaining_s()
        if left_s is not None and left_s <= 0:
            raise DeadlineExceeded(
                f"The run's time of {self.budget.deadline_s:g} s is used up.", hint=_MORE.format("deadline_s")
            )

    def statistics(self) -> AccountStatistics:
        return AccountStatistics(self.budget, self._spent, self._unpriced_calls, self.remaining_s())

    def __repr__(self) -> str:
        spent = self._spent
        cost = "" if spent.cost is None else f", ${spent.cost:.4g}"
        return f"<Account [tokens: {spent.input_tokens + spent.output_tokens}{cost}, calls: {spent.lm_calls}]>"


_MORE = "Give the run a larger budget: Budget({}=...)."
