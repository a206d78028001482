"""The run panel without a browser: what it sends, when, and what it leaves in the cell."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dspex_lab.errors import ValidationError
from dspex_lab.testing.clock import FakeClock
from dspex_lab.widgets import RunPanel, run_panel
from tests.unit.widgets.page import TIMEOUT_S, WIDGET, Page, begin, emit


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    return Page.installed(monkeypatch, "dspex_lab.widgets.run_panel")


def say(panel: RunPanel, text: str) -> None:
    emit(panel, "token", step="reply", field="text", text=text, sent_at=99.0)


def say_often(panel: RunPanel, count: int) -> None:
    for _ in range(count):
        say(panel, "x")


def clock_of(panel: RunPanel) -> FakeClock:
    clock = panel._clock
    assert isinstance(clock, FakeClock)
    return clock


@pytest.fixture
def panel(page: Page) -> Iterator[RunPanel]:
    panel = RunPanel(pipeline="support", clock=FakeClock())
    panel.display()
    yield panel
    panel.finish(timeout_s=0.1)


def test_the_cell_shows_the_widget_and_its_fallbacks(page: Page, panel: RunPanel) -> None:
    """What is shown first holds the widget, and HTML and text for front ends without widgets."""
    (bundle, is_update), *_ = page.shown
    assert set(bundle) == {WIDGET, "text/html", "text/plain"}
    assert not is_update


def test_tokens_are_sent_with_their_place(page: Page, panel: RunPanel) -> None:
    """The first piece goes at once, the next says where in the field it begins."""
    begin(panel)
    page.next("state")
    clock_of(panel).advance(0.1)
    say(panel, "Dear ")
    first = page.next("tokens")
    clock_of(panel).advance(0.1)
    say(panel, "customer")
    assert first["pieces"] == [["reply", "text", 0, "Dear "]]
    assert page.next("tokens")["pieces"] == [["reply", "text", 5, "customer"]]


def test_tokens_wait_while_the_interval_lasts(page: Page, panel: RunPanel) -> None:
    """While time stands still everything after the first batch is held back, and then goes as one."""
    begin(panel)
    say(panel, "a")
    page.next("tokens")
    for _ in range(50):
        say(panel, "b")
    clock_of(panel).advance(0.05)
    assert page.next("tokens")["pieces"] == [["reply", "text", 1, "b" * 50]]


def test_the_state_names_every_step(page: Page, panel: RunPanel) -> None:
    """The trait holds the run and a row for each step, as plain data."""
    begin(panel)
    state = page.next("state")
    while not state["steps"] or state["steps"][0]["status"] != "running":
        clock_of(panel).advance(0.1)
        state = page.next("state")
    assert state["run"]["pipeline"] == "support"
    assert state["steps"][0]["name"] == "reply"


def test_a_page_that_opens_late_gets_all_texts(page: Page, panel: RunPanel) -> None:
    """Asked for the texts, the panel sends each from where it is kept."""
    begin(panel)
    say(panel, "Dear customer")
    page.next("tokens")
    page.say({"kind": "texts"})
    clock_of(panel).advance(0.1)
    assert page.next("texts")["pieces"] == [["reply", "text", 0, "Dear customer"]]


def test_the_end_replaces_the_widget(page: Page, panel: RunPanel) -> None:
    """When the run has ended the stored output is HTML and text, with no widget in it."""
    begin(panel)
    emit(panel, "pipeline.step", step="reply", status="succeeded", outputs={"text": "Dear customer"})
    emit(panel, "run.end", status="succeeded", duration_s=1.0)
    panel.finish()
    bundle, is_update = page.shown[-1]
    assert (set(bundle), is_update) == ({"text/html", "text/plain"}, True)
    assert "Dear customer" in bundle["text/plain"]
    assert "succeeded in 1.00 s" in bundle["text/html"]


def test_the_end_is_shown_without_finish(page: Page, panel: RunPanel) -> None:
    """A run that goes on after its cell settles by itself when its last event comes."""
    begin(panel)
    emit(panel, "run.end", status="succeeded", duration_s=1.0)
    assert panel._live._sender is not None
    panel._live._sender.join(TIMEOUT_S)
    assert page.shown[-1][1]


def test_an_unseen_widget_is_closed_after_the_end(page: Page, panel: RunPanel) -> None:
    """When the run is over and its last view is gone the comm is closed: a thousand runs leave no widgets."""
    begin(panel)
    emit(panel, "run.end", status="succeeded")
    panel.finish()
    page.say({"kind": "unseen"})
    kinds = [page.sent.get()["msg_type"] for _ in range(page.sent.qsize())]
    assert kinds.count("comm_close") == kinds.count("comm_open") == 2  # the widget and its layout


def test_an_unseen_widget_stays_while_the_run_goes_on(page: Page, panel: RunPanel) -> None:
    """A page that is loaded again finds the panel of a run that is under way."""
    begin(panel)
    page.say({"kind": "unseen"})
    assert panel._widget is not None
    assert panel._widget.comm is not None


def test_a_run_that_does_not_end_is_shown_as_cancelled(page: Page, panel: RunPanel) -> None:
    """finish() waits no longer than it was told, and what it leaves says what it knows."""
    begin(panel)
    panel.finish(timeout_s=0.05)
    assert "cancelled" in page.shown[-1][0]["text/plain"]


def test_a_run_that_never_began_leaves_nothing(page: Page, panel: RunPanel) -> None:
    """An error before the first event has its own message; no empty panel stays behind."""
    panel.finish()
    assert page.shown[-1] == ({"text/plain": ""}, True)


def test_events_may_come_from_any_thread(page: Page, panel: RunPanel) -> None:
    """Many threads at once lose no token."""
    begin(panel)
    threads = [threading.Thread(target=say_often, args=(panel, 200)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    emit(panel, "run.end", status="succeeded")
    panel.finish()
    assert panel.statistics().tokens == 800
    assert panel.view.step("reply").text == {"text": "x" * 800}


# --- cancel -------------------------------------------------------------------------------------------------------


def cancelling_panel(page: Page, on_cancel: Callable[[], None]) -> RunPanel:
    panel = RunPanel(pipeline="support", on_cancel=on_cancel, clock=FakeClock())
    panel.display()
    begin(panel)
    return panel


def test_cancel_calls_back_once(page: Page) -> None:
    """However often the button is pressed, the run is cancelled once, and the panel says so."""
    calls: list[str] = []
    panel = cancelling_panel(page, lambda: calls.append("cancel"))
    page.say({"kind": "cancel"})
    page.say({"kind": "cancel"})
    clock_of(panel).advance(0.1)
    while not page.next("state")["run"]["is_cancelling"]:
        clock_of(panel).advance(0.1)
    panel.finish(timeout_s=0.05)
    assert calls == ["cancel"]


def test_cancel_after_the_end_does_nothing(page: Page) -> None:
    """A click that comes too late is no error."""
    calls: list[str] = []
    panel = cancelling_panel(page, lambda: calls.append("cancel"))
    emit(panel, "run.end", status="succeeded")
    panel._on_message(None, {"kind": "cancel"}, [])
    panel.finish()
    assert calls == []


def test_a_cancel_that_fails_can_be_tried_again(page: Page, caplog: pytest.LogCaptureFixture) -> None:
    """An error in the callback is logged, not raised into the kernel, and the button comes back."""
    calls: list[str] = []

    def refuse() -> None:
        calls.append("cancel")
        raise RuntimeError("not now")

    panel = cancelling_panel(page, refuse)
    page.say({"kind": "cancel"})
    page.say({"kind": "cancel"})
    panel.finish(timeout_s=0.05)
    assert calls == ["cancel", "cancel"]
    assert "Cancelling the run failed." in caplog.text


@pytest.mark.parametrize("content", [None, "cancel", {"kind": "other"}, {}])
def test_what_the_page_should_not_say_is_ignored(page: Page, content: Any) -> None:
    """An unknown message changes nothing."""
    calls: list[str] = []
    panel = cancelling_panel(page, lambda: calls.append("cancel"))
    panel._on_message(None, content, [])
    panel.finish(timeout_s=0.05)
    assert calls == []


# --- without a notebook -------------------------------------------------------------------------------------------


def test_a_terminal_gets_the_text_at_the_end(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a kernel there is no widget: nothing until the end, then the text, once."""
    monkeypatch.setattr(run_panel, "has_kernel", lambda: False)
    panel = RunPanel(pipeline="support")
    panel.display()
    begin(panel)
    assert page.shown == []
    emit(panel, "run.end", status="succeeded", duration_s=1.0)
    panel.finish()
    panel.finish()
    (bundle, is_update), *rest = page.shown
    assert (rest, is_update, set(bundle)) == ([], False, {"text/plain"})
    assert bundle["text/plain"].startswith("✓ support · succeeded in 1.00 s")


def test_the_room_is_cheap_to_import() -> None:
    """Importing the panels loads neither ipywidgets nor IPython: %load_ext stays quick."""
    code = "import sys, dspex_lab.widgets; print(*{'ipywidgets', 'anywidget', 'IPython', 'dspy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""


# --- questions ----------------------------------------------------------------------------------------------------


def ask(panel: RunPanel, name: str = "q") -> None:
    field = {"name": "approved", "kind": "checkbox", "type_text": "bool", "is_required": True}
    told = {"id": name, "step": "reply", "text": "Well?", "shows": {"draft": {"a": 1}}, "fields": [field]}
    emit(panel, "run.question", **told, default=None, answer_by=160.0)


def test_a_question_is_in_the_state_and_in_what_is_stored(page: Page) -> None:
    """The page gets its form, and a saved notebook shows what is asked until it is answered."""
    panel = RunPanel(pipeline="support", on_answer=lambda *_: None, clock=FakeClock(100.0))
    panel.display()
    begin(panel)
    ask(panel)
    state = page.next("state")
    while not state["questions"]:
        clock_of(panel).advance(0.1)
        state = page.next("state")
    (question,) = state["questions"]
    assert (question["text"], question["shows"], question["has_default"]) == ("Well?", [["draft", '{"a": 1}']], False)
    assert 59 < question["left_s"] <= 60
    emit(panel, "run.answer", question="q", step="reply", by="answer")
    panel.finish(timeout_s=0.1)
    asked = ["Well?" in bundle["text/html"] for bundle, _ in page.shown]
    assert asked.index(True) > 0
    assert not any(asked[asked.index(True) + 1 :])


def test_an_answer_reaches_the_run_and_a_wrong_one_comes_back(page: Page) -> None:
    """What was typed is handed over with the question's id; faults go back with the number of the attempt."""
    given: list[tuple[str, Any]] = []

    def answer(question: str, values: Any) -> None:
        given.append((question, values))
        if not values:
            raise ValidationError("no", ({"field": "approved", "message": "It is missing.", "input": None},))

    panel = RunPanel(pipeline="support", on_answer=answer, clock=FakeClock())
    panel.display()
    begin(panel)
    ask(panel)
    clock_of(panel).advance(0.1)
    page.say({"kind": "answer", "question": "q", "values": {}, "attempt": 7})
    clock_of(panel).advance(0.1)
    refused = page.next("refused")
    assert (refused["attempt"], refused["faults"]) == (7, [{"field": "approved", "message": "It is missing."}])
    page.say({"kind": "answer", "question": "q", "values": {"approved": True}, "attempt": 8})
    assert given == [("q", {}), ("q", {"approved": True})]
    panel.finish(timeout_s=0.1)


def test_what_a_users_own_type_raises_at_an_answer_is_told(page: Page) -> None:
    """The page waits for an answer."""

    def fail(question: str, values: Any) -> None:
        raise KeyError("who")

    panel = RunPanel(pipeline="support", on_answer=fail, clock=FakeClock())
    panel.display()
    begin(panel)
    ask(panel)
    clock_of(panel).advance(0.1)
    page.say({"kind": "answer", "question": "q", "values": {}, "attempt": 1})
    clock_of(panel).advance(0.1)
    assert page.next("refused")["faults"] == [{"field": "", "message": "KeyError: 'who'"}]
    panel.finish(timeout_s=0.1)


@pytest.mark.parametrize(
    "content",
    [
        {"question": "other", "values": {}, "attempt": 1},
        {"question": "q", "values": [], "attempt": 1},
        {"question": "q", "values": {}, "attempt": None},
        {"question": "q"},
    ],
)
def test_what_is_no_answer_is_let_go(page: Page, content: dict[str, Any]) -> None:
    """An answer that is repeated too late, or a page that says something else, harms nothing."""
    given: list[Any] = []
    panel = RunPanel(pipeline="support", on_answer=lambda *answer: given.append(answer), clock=FakeClock())
    panel.display()
    begin(panel)
    ask(panel)
    page.say({"kind": "answer", **content})
    assert given == []
    panel.finish(timeout_s=0.1)
