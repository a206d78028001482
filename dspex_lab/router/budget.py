"""Budgets: how much a run may use, and the account of what it has used.

A :class:`Budget` is a value; each run has an :class:`Account` of its own, which the router charges with what responses
say that they used, and those of a batch's rows pay from the batch's, too. What is under way when the last of it is used
up goes on: a run may end a little above.
"""

from __future__ import annotations

from dataclasses import dataclass

from dspex_lab.calls import Usage
from dspex_lab.clock import Clock
from dspex_lab.errors import BudgetExceeded, ConfigurationError, DeadlineExceeded

__all__ = ["Account", "AccountStatistics", "Budget", "checked_budget"]


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


def checked_budget(given: object) -> Budget | None:
    """What a user gave as a budget. Raises ``ConfigurationError`` for what is none."""
    if given is None or isinstance(given, Budget):
        return given
    raise ConfigurationError(
        f"A {type(given).__name__} is no budget.",
        "budget",
        "a Budget",
        repr(given),
        hint="For example budget=Budget(max_tokens_total=20_000, deadline_s=60).",
    )


@dataclass(frozen=True, slots=True)
class AccountStatistics:
    """What a run has used of its budget. ``unpriced_calls`` are calls to models whose price is not known, which
    ``max_cost`` cannot bound; ``remaining_s`` is None without a deadline."""

    budget: Budget
    spent: Usage
    unpriced_calls: int
    remaining_s: float | None


class Account:
    """What one run has used; opened when the run starts. Lives on the router's event loop.

    ``whose`` is what people read in errors. What is charged here is charged to the account ``around`` it, too, and
    whatever is used up first is the limit. ``spent`` is what was used in earlier lives of the run.
    """

    def __init__(
        self,
        budget: Budget,
        clock: Clock,
        *,
        whose: str = "run",
        around: Account | None = None,
        spent: Usage | None = None,
        unpriced_calls: int = 0,
    ) -> None:
        self.budget = budget
        self._clock = clock
        self._whose = whose
        self._around = around
        self._started = clock.monotonic()
        self._spent = spent or Usage()
        self._unpriced_calls = unpriced_calls

    @property
    def spent(self) -> Usage:
        return self._spent

    @property
    def is_used_up(self) -> bool:
        """Whether there is nothing left for asking a model."""
        try:
            self.check()
        except (BudgetExceeded, DeadlineExceeded):
            return True
        return False

    def charge(self, usage: Usage) -> None:
        """Count what a response says that it used."""
        self._spent = self._spent + usage
        if usage.cost is None:
            self._unpriced_calls += usage.lm_calls
        if self._around is not None:
            self._around.charge(usage)

    def remaining_s(self) -> float | None:
        """Seconds left of the time; None: no limit."""
        ends = [] if self._around is None else [self._around.remaining_s()]
        if self.budget.deadline_s is not None:
            ends.append(self._started + self.budget.deadline_s - self._clock.monotonic())
        return min((one for one in ends if one is not None), default=None)

    def check(self) -> None:
        """Raise ``BudgetExceeded`` or ``DeadlineExceeded`` when there is nothing left for asking a model."""
        if self._around is not None:
            self._around.check()
        budget, spent = self.budget, self._spent
        tokens = spent.input_tokens + spent.output_tokens
        if budget.max_tokens_total is not None and tokens >= budget.max_tokens_total:
            raise BudgetExceeded(
                f"The {self._whose} has used {tokens:,} tokens of the {budget.max_tokens_total:,} that it may.",
                "tokens",
                budget.max_tokens_total,
                tokens,
                hint=_MORE.format(self._whose, "max_tokens_total"),
            )
        if budget.max_cost is not None and spent.cost is not None and spent.cost >= budget.max_cost:
            raise BudgetExceeded(
                f"The {self._whose} has cost ${spent.cost:.4g} of the ${budget.max_cost:.4g} that it may.",
                "dollars",
                budget.max_cost,
                spent.cost,
                hint=_MORE.format(self._whose, "max_cost"),
            )
        self.check_time()

    def check_time(self) -> None:
        """Raise ``DeadlineExceeded`` when the time is used up: that holds for what asks no model, too."""
        if self._around is not None:
            self._around.check_time()
        limit_s = self.budget.deadline_s
        if limit_s is not None and self._started + limit_s <= self._clock.monotonic():
            raise DeadlineExceeded(
                f"The {self._whose}'s time of {limit_s:g} s is used up.", hint=_MORE.format(self._whose, "deadline_s")
            )

    def statistics(self) -> AccountStatistics:
        return AccountStatistics(self.budget, self._spent, self._unpriced_calls, self.remaining_s())

    def __repr__(self) -> str:
        spent = self._spent
        cost = "" if spent.cost is None else f", ${spent.cost:.4g}"
        return f"<Account [tokens: {spent.input_tokens + spent.output_tokens}{cost}, calls: {spent.lm_calls}]>"


_MORE = "Give the {} a larger budget: Budget({}=...)."
