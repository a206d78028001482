"""Which pool takes a call that says what it needs and not where: a pure decision.

``workforce`` makes the snapshots and asks :func:`choose_pool`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dspex_lab.calls import Needs
from dspex_lab.errors import ConfigurationError

__all__ = ["Candidate", "choose_pool", "what_lacks"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pool as the decision sees it. ``memory_mb`` is what one of its workers may use, ``free`` how many calls it
    could run at once beside those that it runs, ``waiting`` how many wait in its line."""

    name: str
    memory_mb: int
    has_gpu: bool = False
    is_sandbox: bool = False
    labels: frozenset[str] = frozenset()
    free: int = 0
    waiting: int = 0

    def __str__(self) -> str:
        device = "GPU" if self.has_gpu else "CPU"
        labels = f", {' '.join(sorted(self.labels))}" if self.labels else ""
        return f"{self.name} ({self.memory_mb} MB, {device}{labels})"


def choose_pool(needs: Needs, candidates: Sequence[Candidate]) -> str:
    """The name of the pool that has what ``needs`` asks for: one where the call runs at once before one where it
    waits, then the one that wastes least (no GPU where none is needed, little memory), then the shortest line.

    Raises ``ConfigurationError``, which names what there is, when no pool will do.
    """
    fitting = [one for one in candidates if not what_lacks(needs, one)]
    if not fitting:
        there_are = "; ".join(str(one) for one in candidates if one.is_sandbox is False) or "none"
        raise ConfigurationError(
            f"No pool has what the call needs: {needs}.",
            "needs",
            str(needs),
            there_are,
            hint=f"The pools are {there_are}. Add one with lab.add_pool(PoolSpec(...)).",
        )
    chosen = min(fitting, key=lambda one: (one.free <= one.waiting, one.has_gpu, one.memory_mb, one.waiting, one.name))
    return chosen.name


def what_lacks(needs: Needs, candidate: Candidate) -> str:
    """Why the pool will not do, or "". A sandbox never does: nobody gets into one without saying so by name."""
    if candidate.is_sandbox:
        return "it is a sandbox"
    if needs.gpu and not candidate.has_gpu:
        return "it has no GPU"
    if needs.memory_mb > candidate.memory_mb:
        return f"its workers may use {candidate.memory_mb} MB"
    missing = sorted(set(needs.labels) - candidate.labels)
    return f"it is not labelled {', '.join(missing)}" if missing else ""
