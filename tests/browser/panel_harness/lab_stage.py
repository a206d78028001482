"""A lab without a host for the panels in JupyterLab: it answers as ``hosts`` and ``figures`` say, and can be lost."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from dspex_lab.errors import HostUnavailable
from dspex_lab.lab import Lab, use_lab
from dspex_lab.testing import FakeBackend

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.browser.panel_harness.figures import statistics
from tests.browser.panel_harness.hosts import status
from tests.browser.panel_harness.traces import support_trace

__all__ = ["Stage", "stage", "support_trace"]


class Stage:
    """What the host was ordered, and whether it is there."""

    def __init__(self) -> None:
        self.ordered: list[Any] = []
        self.is_lost = False
        self.asked = 0
        self._size = 8
        self.backend = FakeBackend(
            {},
            replies={
                "status": self._status,
                "statistics": lambda: statistics(self.lab.clock.now()),
                "pools.resize": self._resize,
                "logs": {"/run/host.log": "the host began\nall is well\n"},
            },
        )
        self.lab: Lab = Lab(backend=self.backend)
        use_lab(self.lab)

    def _status(self) -> dict[str, Any]:
        self.asked += 1
        if self.is_lost:
            raise HostUnavailable("The pool host ended.")
        told = status()
        told["pools"]["general"]["spec"]["size"] = self._size
        return told

    def _resize(self, name: str, size: int) -> None:
        self.ordered.append((name, size))
        self._size = size


def stage() -> Stage:
    """A lab on made-up answers, as the current one."""
    return Stage()
