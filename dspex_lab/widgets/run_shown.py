"""Brings a run and its panel together: who feeds the panel, and what its buttons do.

The one place of this room that knows runs and the lab; panels and forms know events only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from dspex_lab.lab import Lab
from dspex_lab.pipelines import Run
from dspex_lab.pipelines.plan.graph import draw_page
from dspex_lab.pipelines.run.rerun import repeatable_steps
from dspex_lab.telemetry.events import Event
from dspex_lab.widgets.graph_state import graph_message
from dspex_lab.widgets.run_panel import RunPanel

__all__ = ["Follower", "follow", "panel_for"]


class Follower(Protocol):
    """Who is told of a run's events, and shows its end."""

    def apply(self, event: Event) -> None: ...

    def finish(self) -> object: ...


def panel_for(lab: Lab, run: Run) -> RunPanel:
    """A panel for ``run``, which is still to be displayed and fed; it can be run again from its steps as long as the
    lab keeps the panel."""
    shown = [run]

    def run_again(step: str) -> None:
        again = shown[0].rerun(step)
        shown[0] = again
        panel.begin_again(again.cancel, on_answer=again.answer_form)
        again.is_shown = panel.is_live
        lab.panels.put(panel)
        follow(lab, again, panel, ends_panel=True)

    graph = graph_message(run.plan)
    panel = RunPanel(
        run.plan.name,
        on_cancel=run.cancel,
        on_answer=run.answer_form,
        on_rerun=run_again,
        repeatable=repeatable_steps(run.plan),
        graph=graph,
        picture=(lambda view: draw_page(run.plan, view)) if graph else None,
    )
    lab.panels.put(panel)
    return panel


def follow(
    lab: Lab, run: Run, follower: Follower, *, ends_panel: bool, on_end: Callable[[], object] | None = None
) -> Future[None]:
    """Tell ``follower`` of every event of ``run`` until its end; the future is done then. ``ends_panel``: let it show
    the end too, and then call ``on_end``."""

    async def feed() -> None:
        async for event in run.events():
            follower.apply(event)

    def end() -> None:
        follower.finish()
        if on_end is not None:
            on_end()

    fed = lab.portal.start(feed)
    if ends_panel:
        # On a thread of its own: it waits for the panel, and the lab's event loop must not.
        fed.add_done_callback(lambda _: threading.Thread(target=end, name="dspex-panel-end").start())
    return fed
