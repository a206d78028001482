"""What a run keeps of its finished steps, so that it can go on after a crash: the Protocol, and what is remembered.

Who keeps it, and where, is not this module's business; the runner knows no more than this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dspex_lab.pipelines.outcome.result import StepMetrics

__all__ = ["DECISION", "ITEMS", "SPENT_KEY", "Remembered", "StepMemory", "item_place", "mark_key"]

#: The one output under which the decision of a ``when`` is kept.
DECISION = "is_true"
#: The one output under which it is kept how many items an ``each`` had, once all of them are done.
ITEMS = "items"
#: Where it is kept what a run with a budget has spent: no step is called so.
SPENT_KEY = "?"


@dataclass(frozen=True, slots=True)
class Remembered:
    """A step that finished in an earlier life of the run: its outputs by name, and what it took."""

    outputs: Mapping[str, Any]
    metrics: StepMetrics


class StepMemory(Protocol):
    """What a run keeps of its finished steps; the journal is one.

    A key is the step's place in its run, unique for each execution: the step's name, before it the items of every
    ``each`` around it (``"triage"``, ``"rows[3]/rows.item"``). What the condition of a ``when`` decided has a key of
    its own (``"reply?"``), and so has that an ``each`` is done with its items (``"rows?"``). Steps that hold others are
    not kept: they are made of their steps again. What a run with a
    budget has spent is under ``SPENT_KEY``.
    """

    def recall(self, key: str) -> Remembered | None:
        """What is known of the step, or None: it is to be run. Quick, and safe from any thread."""

    async def keep(self, key: str, outputs: Mapping[str, Any], metrics: StepMetrics) -> None:
        """Keep a finished step. It is durable when this returns; what depends on the step starts after that."""

    def keep_here(self, key: str, outputs: Mapping[str, Any], metrics: StepMetrics) -> None:
        """The same on a thread, which waits for it."""


def item_place(key: str, index: int) -> str:
    """What stands before the keys of the steps inside item ``index`` (from 0) of the ``each`` whose key is ``key``."""
    return f"{key}[{index}]/"


def mark_key(key: str) -> str:
    """The key of the decision of the ``when``, or of the end of the ``each``, whose key is ``key``."""
    return f"{key}?"
