"""The run panel after the end, without a browser: a step that is run again in it."""

from __future__ import annotations

import pytest

from dspex_lab.errors import PipelineError
from dspex_lab.telemetry.events import Event
from dspex_lab.testing.clock import FakeClock
from dspex_lab.widgets import RunPanel
from tests.unit.widgets.page import Page, begin, emit


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    return Page.installed(monkeypatch, "dspex_lab.widgets.run_panel")


def repeatable_panel(page: Page, wanted: list[str]) -> RunPanel:
    panel = RunPanel("support", on_rerun=wanted.append, repeatable=("reply",), clock=FakeClock())
    panel.display()
    begin(panel)
    emit(panel, "pipeline.step", step="reply", status="succeeded", outputs={})
    return panel


def test_a_step_is_run_again_once_for_each_attempt(page: Page) -> None:
    """Not while the run is under way, and no step that cannot be; the page says it until it hears of it."""
    wanted: list[str] = []
    panel = repeatable_panel(page, wanted)
    page.say({"kind": "rerun", "step": "reply", "attempt": 1})
    assert wanted == []
    emit(panel, "run.end", status="succeeded")
    panel.finish()
    for content in (
        {"step": "reply", "attempt": 2},
        {"step": "reply", "attempt": 2},
        {"step": "other", "attempt": 3},
        {"step": "reply", "attempt": "x"},
    ):
        page.say({"kind": "rerun", **content})
    assert wanted == ["reply"]


def test_the_second_run_takes_the_place_of_the_first(page: Page) -> None:
    """The same widget shows it, and the cell's stored output is its static form at the end."""
    panel = repeatable_panel(page, [])
    emit(panel, "run.end", status="succeeded")
    panel.finish()
    panel.begin_again()
    panel.apply(Event("run.start", 100.0, {"run_id": "second", "pipeline": "again", "steps": []}))
    panel.apply(Event("run.end", 100.0, {"run_id": "second", "status": "failed"}))
    panel.finish()
    bundle, is_update = page.shown[-1]
    assert is_update
    assert "failed" in bundle["text/plain"]
    state = page.next("state")
    while state["run"]["id"] != "second" or not state["run"]["is_over"]:
        state = page.next("state")


def test_only_an_ended_run_offers_its_steps(page: Page) -> None:
    """The page is told which."""
    panel = repeatable_panel(page, [])
    assert not panel._live.state()["steps"][0]["can_rerun"]
    emit(panel, "run.end", status="succeeded")
    panel.finish()
    assert panel._live.state()["steps"][0]["can_rerun"]


def test_a_panel_whose_steps_can_be_run_again_lives_on(page: Page) -> None:
    """Until it is closed, by who keeps it; then the cell shows the static form."""
    panel = repeatable_panel(page, [])
    emit(panel, "run.end", status="succeeded")
    panel.finish()
    page.say({"kind": "unseen"})
    kinds = [page.sent.get()["msg_type"] for _ in range(page.sent.qsize())]
    assert "comm_close" not in kinds
    panel.close()
    panel.close()
    kinds = [page.sent.get()["msg_type"] for _ in range(page.sent.qsize())]
    assert kinds.count("comm_close") == 2  # the widget and its layout


def test_a_run_that_cannot_begin_again_says_so(page: Page) -> None:
    """In the panel, with the hint."""

    def refuse(step: str) -> None:
        raise PipelineError(f"Not from {step}.", hint="Never.")

    panel = RunPanel("support", on_rerun=refuse, repeatable=("reply",), clock=FakeClock())
    panel.display()
    begin(panel)
    emit(panel, "run.end", status="succeeded")
    panel.finish()
    page.say({"kind": "rerun", "step": "reply", "attempt": 1})
    assert page.next("not_begun") == {"kind": "not_begun", "message": "Not from reply.", "hint": "Never."}


def test_whatever_keeps_a_run_from_beginning_again_is_told(page: Page) -> None:
    """Also what is none of the house's errors."""

    def fail(step: str) -> None:
        raise OSError("the disk is full")

    panel = RunPanel("support", on_rerun=fail, repeatable=("reply",), clock=FakeClock())
    panel.display()
    begin(panel)
    emit(panel, "run.end", status="succeeded")
    panel.finish()
    page.say({"kind": "rerun", "step": "reply", "attempt": 1})
    assert page.next("not_begun")["message"] == "OSError: the disk is full"


def test_what_is_stored_is_the_place_of_the_live_view(page: Page) -> None:
    """Under the panel's own name, with the folded graph at the end."""
    panel = RunPanel("support", picture=lambda view: "<svg>picture</svg>", clock=FakeClock())
    panel.display()
    begin(panel)
    emit(panel, "run.end", status="succeeded")
    panel.finish()
    first, last = page.shown[0][0]["text/html"], page.shown[-1][0]["text/html"]
    assert f"dspex-live-{panel._display_id}" in first
    assert f"dspex-live-{panel._display_id}" in last
    assert ("<svg>" in first, "<svg>picture</svg>" in last) == (False, True)
