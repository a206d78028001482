"""Where a run stands: along the table only, and with nothing that keeps a run alive."""

from __future__ import annotations

import gc
import weakref
from functools import partial

import pytest

from dspex_lab.pipelines import Launcher, Pipeline, RunState, native
from dspex_lab.pipelines.outcome.result import TRANSITIONS
from dspex_lab.pipelines.run.standing import Standing
from dspex_lab.testing.stage import Stage


@pytest.mark.parametrize("state", RunState)
def test_no_state_follows_but_those_of_the_table(state: RunState) -> None:
    """Every other step raises, and changes nothing."""
    for following in RunState:
        standing = Standing()
        standing.state = state
        if following in TRANSITIONS[state]:
            standing.move_to(following)
            assert standing.state is following
        else:
            with pytest.raises(RuntimeError):
                standing.move_to(following)
            assert standing.state is state


def test_people_are_waited_for_while_a_run_is_under_way() -> None:
    """What is not yet, or no more, does not begin to wait."""
    standing = Standing()
    seen = [standing.state]
    for happens in (
        partial(standing.wait_for_people, True),
        partial(standing.move_to, RunState.RUNNING),
        partial(standing.wait_for_people, True),
        partial(standing.wait_for_people, False),
        partial(standing.move_to, RunState.CANCELLED),
        partial(standing.wait_for_people, True),
    ):
        happens()
        seen.append(standing.state)
    assert seen == ["pending", "pending", "running", "waiting", "running", "cancelled", "cancelled"]


def test_what_is_over_cannot_be_cancelled() -> None:
    """Asking is noted before the end only."""
    standing = Standing()
    standing.move_to(RunState.CANCELLED)
    assert (standing.ask_to_cancel(), standing.is_cancel_asked) == (False, False)


def test_a_run_that_nobody_holds_is_gone_at_once(stage: Stage) -> None:
    """It holds itself nowhere, so a thousand small runs leave nothing to the garbage collector."""
    made = Pipeline("test", {"a": native(lambda q: q)}, start=Launcher(stage.portal, stage.router, remembered=1).start)
    gc.disable()
    try:
        made(q="x")
        assert made.last_run is not None
        course = weakref.ref(made.last_run._course)
        made(q="y")
        made(q="z")
        while stage.portal.threads.statistics().busy:  # its thread has told the end, and lets go of it
            stage.portal.call_soon(int)
        assert course() is None
    finally:
        gc.enable()
