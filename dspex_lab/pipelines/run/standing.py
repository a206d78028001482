"""Where a run stands: its state, moved on from any thread along the one table, and written down where people wait.

Knows nothing of the run, which asks it; so a run that nobody holds is gone at once.
"""

from __future__ import annotations

import threading

from dspex_lab.pipelines.journal.entry import Entry
from dspex_lab.pipelines.outcome.result import TRANSITIONS, RunState

__all__ = ["Standing"]


class Standing:
    """The state of one run. ``entry`` is its place in the journal."""

    __slots__ = ("_entry", "_lock", "is_cancel_asked", "state")

    def __init__(self, entry: Entry | None = None) -> None:
        self._entry = entry
        self._lock = threading.Lock()
        self.state = RunState.PENDING
        self.is_cancel_asked = False

    def ask_to_cancel(self) -> bool:
        """Note that the run is to be cancelled; False when it is over."""
        with self._lock:
            if self.state.is_over:
                return False
            self.is_cancel_asked = True
            return True

    def move_to(self, state: RunState) -> None:
        """Go on to ``state``. Raises ``RuntimeError`` where no way leads there."""
        with self._lock:
            if state not in TRANSITIONS[self.state]:
                raise RuntimeError(f"A run that is {self.state} cannot become {state}.")
            self.state = state

    def wait_for_people(self, is_waiting: bool) -> None:
        """Note that the run waits for an answer, or goes on; one that has not begun or is over does neither."""
        state = RunState.WAITING if is_waiting else RunState.RUNNING
        if self.state not in (RunState.RUNNING, RunState.WAITING) or self.state is state:
            return
        self.move_to(state)
        if self._entry is not None:
            self._entry.note(state)

    def __repr__(self) -> str:
        return f"<Standing [{self.state}]>"
