"""How far a block has come in one run: what each step gave, and which steps can begin now.

Bookkeeping only, safe from any thread; who carries the steps out is ``runner`` and ``walk``.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from dspex_lab.pipelines.plan.plan import Block

__all__ = ["BlockProgress", "Values"]

Values = Mapping[str, Any]


class BlockProgress:
    """One turn of a block. ``around`` holds the fields that come from outside of it; ``place`` stands before the
    names of its steps in the run's memory; ``parent`` is the span of the step that it is part of ("": of none)."""

    __slots__ = ("_lock", "_outputs", "_over", "_waiting", "around", "block", "parent", "place")

    def __init__(self, block: Block, around: Values, place: str = "", parent: str = "") -> None:
        self.block = block
        self.around = around
        self.place = place
        self.parent = parent
        self._outputs: list[Values | None] = [None] * len(block.steps)
        self._waiting = list(block.waits_for)
        self._over: list[int] = []
        self._lock = threading.Lock()

    @property
    def is_over(self) -> bool:
        return len(self._over) == len(self.block.steps)

    def inputs(self, index: int) -> dict[str, Any] | None:
        """What the step reads, by name; None when a step that it reads has no outputs."""
        step = self.block.steps[index]
        sources, found = step.sources, {}
        for name in step.read_names:
            source = sources.get(name)
            if source is None:
                if name in self.around:
                    found[name] = self.around[name]
                continue
            values = self._outputs[source]
            if values is None or name not in values:
                return None
            found[name] = values[name]
        return found

    def lacking(self, index: int) -> str:
        """The step without outputs that this one reads, by name; "" when there is none."""
        steps = self.block.steps
        for name, source in steps[index].sources.items():
            values = self._outputs[source]
            if values is None or name not in values:
                return steps[source].name
        return ""

    def finish(self, index: int, outputs: Values | None) -> list[int]:
        """Note what the step gave (None: nothing); the steps that can begin now. Safe from any thread."""
        ready = []
        self._outputs[index] = outputs
        self._over.append(index)  # one step to every thread, as is a look at its length
        for other in self.block.needed_by[index]:
            # Who waits for this one alone need not be counted.
            if self.block.waits_for[other] == 1 or self._is_last_for(other):
                ready.append(other)  # noqa: PERF401 - a comprehension is a call, at every step of every run
        return ready

    def _is_last_for(self, index: int) -> bool:
        """Count one more of those that the step waits for; whether there are no others."""
        with self._lock:
            self._waiting[index] -= 1
            return self._waiting[index] == 0

    def fields(self) -> dict[str, Any]:
        """What the block leaves behind."""
        found: dict[str, Any] = {}
        for name, index in self.block.last.items():
            values = self._outputs[index]
            if values is not None and name in values:
                found[name] = values[name]
        return found
