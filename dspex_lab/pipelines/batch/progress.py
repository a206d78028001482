"""A batch's progress where one waits for it: tqdm's bar in a notebook or a terminal.

Moved by the thread that waits, so that no other one draws. Knows figures only.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

from dspex_lab.pipelines.batch.statistics import BatchStatistics

__all__ = ["Progress"]

#: A batch that is over by then shows no bar.
_DELAY_S = 0.5


class Progress:
    """A bar that is made with the first figures. One that is not shown costs nothing."""

    def __init__(self, name: str, *, is_shown: bool = True) -> None:
        self._name = name
        self._is_shown = is_shown
        self._bar: Any = None

    def show(self, now: BatchStatistics) -> None:
        """Move the bar to where the batch is."""
        if not self._is_shown:
            return
        if self._bar is None:
            self._bar = _bar(self._name, now)
        self._bar.n = now.done
        self._bar.set_postfix(_beside(now), refresh=False)
        self._bar.refresh()

    def close(self, now: BatchStatistics) -> None:
        """Leave the last figures."""
        if self._bar is not None:
            self.show(now)
            self._bar.close()

    def say(self, text: str) -> None:
        """A line for people beside the bar; it is said even where no bar is shown."""
        sys.stderr.write(f"{text}\n")


def _bar(name: str, now: BatchStatistics) -> Any:
    with warnings.catch_warnings():
        # Without widgets tqdm says so, and draws its text.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm

        return tqdm(total=now.total, initial=now.reused, desc=name, unit=" rows", delay=_DELAY_S, mininterval=0)


def _beside(now: BatchStatistics) -> dict[str, str]:
    """What stands beside the bar: how many at a time, and what does not go as it should."""
    beside = {"at once": str(now.under_way)}
    if now.failed:
        beside["failed"] = f"{now.failed:,}"
    if now.held_s > 0:
        beside["waiting"] = f"{now.held_s:.0f} s"
    return beside
