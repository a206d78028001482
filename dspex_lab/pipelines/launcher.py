"""Starts runs: binds plans to a portal and a router. One per lab.

The only thing of this room that ``lab`` has to build.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Protocol

from dspex_lab.calls import new_id
from dspex_lab.pipelines.inputs import check_inputs
from dspex_lab.pipelines.plan import Plan
from dspex_lab.pipelines.run import Run
from dspex_lab.pipelines.runner import RunSettings
from dspex_lab.portal import Portal
from dspex_lab.router import Router

__all__ = ["Launcher", "StartRun"]


class StartRun(Protocol):
    """How programs and pipelines begin a run; :meth:`Launcher.start` is one."""

    def __call__(
        self,
        plan: Plan,
        inputs: Mapping[str, Any],
        *,
        stream: bool = True,
        continue_on_error: bool = False,
        is_program: bool = False,
    ) -> Run: ...


class Launcher:
    """Starts runs and remembers the latest ones by id."""

    def __init__(self, portal: Portal, router: Router, *, remembered: int = 100) -> None:
        self._portal = portal
        self._router = router
        self._remembered = remembered
        self._runs: OrderedDict[str, Run] = OrderedDict()

    def start(
        self,
        plan: Plan,
        inputs: Mapping[str, Any],
        *,
        stream: bool = True,
        continue_on_error: bool = False,
        is_program: bool = False,
    ) -> Run:
        """Check the inputs and begin a run, from any thread. Raises ``PipelineError`` before anything runs."""
        check_inputs(plan, inputs)
        settings = RunSettings(new_id(), is_streaming=stream, continue_on_error=continue_on_error)
        run = Run(plan, inputs, self._router, settings, is_program=is_program)
        self._runs[run.id] = run
        while len(self._runs) > self._remembered:
            self._runs.popitem(last=False)
        return run.start_on(self._portal)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The latest runs, oldest first."""
        return tuple(self._runs.values())

    def cancel_all(self) -> int:
        """Cancel every run under way; how many there were."""
        return sum(run.cancel() for run in self.runs)

    def __repr__(self) -> str:
        under_way = sum(not run.is_over for run in self.runs)
        return f"<Launcher [runs: {len(self._runs)}, under way: {under_way}]>"
