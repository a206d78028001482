"""What a batch came to so far: frozen figures, and one line of them for people. Knows nothing of how rows run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dspex_lab.calls import Usage

__all__ = ["TRANSITIONS", "BatchState", "BatchStatistics"]


class BatchState(StrEnum):
    """Where a batch is."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        return not TRANSITIONS[self]


#: From each state to those that may follow.
TRANSITIONS: Mapping[BatchState, frozenset[BatchState]] = {
    BatchState.RUNNING: frozenset(BatchState) - {BatchState.RUNNING},
    BatchState.FINISHED: frozenset(),
    BatchState.STOPPED: frozenset(),
    BatchState.CANCELLED: frozenset(),
    BatchState.FAILED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """A batch in figures; times in seconds. ``total`` is None where nobody knows how many rows will come.

    ``done = succeeded + failed + reused``: reused ones were done in an earlier life of the batch. ``limit`` is how many
    may be under way, ``held_s`` how long nothing begins because a model asked to wait.
    """

    state: BatchState = BatchState.RUNNING
    total: int | None = None
    succeeded: int = 0
    failed: int = 0
    reused: int = 0
    under_way: int = 0
    limit: int = 0
    held_s: float = 0.0
    retries: int = 0
    elapsed_s: float = 0.0
    usage: Usage = field(default_factory=Usage)

    @property
    def done(self) -> int:
        return self.succeeded + self.failed + self.reused

    @property
    def rows_per_s(self) -> float:
        """Rows that were run, by the time that they took; reused ones cost none."""
        return (self.succeeded + self.failed) / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """How long it will take still, at this rate; None: nobody knows."""
        if self.total is None or self.rows_per_s == 0:
            return None
        return max(0, self.total - self.done) / self.rows_per_s

    def __str__(self) -> str:
        of = f" of {self.total:,}" if self.total is not None else ""
        parts = [f"{self.done:,}{of} rows", f"{self.rows_per_s:.1f} rows/s"]
        if self.failed:
            parts.insert(1, f"{self.failed:,} failed")
        if self.reused:
            parts.insert(1, f"{self.reused:,} were done before")
        if self.state is BatchState.RUNNING and self.left_s is not None:
            parts.append(f"{_time_text(self.left_s)} left")
        return ", ".join(parts)


def _time_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
