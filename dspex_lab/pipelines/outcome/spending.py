"""What a run has spent of its budget, as its memory keeps it, and the account that goes on from there. Pure."""

from __future__ import annotations

from typing import Any

from dspex_lab.calls import Usage
from dspex_lab.clock import Clock
from dspex_lab.pipelines.outcome.memory import Remembered
from dspex_lab.router import Account, Budget

__all__ = ["open_account", "spent_to_plain"]

_UNPRICED = "unpriced_calls"


def open_account(
    budget: Budget | None, clock: Clock, *, known: Remembered | None = None, around: Account | None = None
) -> Account | None:
    """The account of a run with ``budget``: what is ``known`` of its earlier lives is spent already, their time is not.
    ``around`` is the account of the batch that it is a row of; None where nobody counts."""
    if budget is None:
        return around
    spent: dict[str, Any] = {} if known is None else dict(known.outputs)
    unpriced_calls = spent.pop(_UNPRICED, 0)
    return Account(budget, clock, around=around, spent=Usage(**spent), unpriced_calls=unpriced_calls)


def spent_to_plain(account: Account) -> dict[str, Any]:
    """What was spent so far, in the form that :func:`open_account` knows it by."""
    now = account.statistics()
    spent = now.spent
    return {
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "cost": spent.cost,
        "lm_calls": spent.lm_calls,
        _UNPRICED: now.unpriced_calls,
    }
