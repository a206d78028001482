"""A live panel without a browser: when it reads, what it sends, how orders are answered, when its thread ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from dspex_lab.errors import ConfigurationError
from dspex_lab.testing.clock import FakeClock
from dspex_lab.widgets.live_panel import LivePanel
from dspex_lab.widgets.subject import Reply, Subject

if TYPE_CHECKING:
    from tests.unit.widgets.conftest import Front

TIMEOUT_S = 10.0


class Counter:
    """A subject that counts how often it was read."""

    def __init__(self) -> None:
        self.reads = 0
        self.ordered: list[Any] = []
        self.is_over = False

    def read(self) -> dict[str, Any]:
        self.reads += 1
        return {"reads": self.reads, "is_over": self.is_over}

    def add(self, number: int) -> int:
        self.ordered.append(number)
        return sum(self.ordered)

    def refuse(self) -> None:
        raise ConfigurationError("Not so.", "key", hint="Do it otherwise.")

    def subject(self) -> Subject:
        return Subject(
            "pools",
            self.read,
            lambda state: f"<b>{state['reads']}</b>",
            lambda state: f"reads: {state['reads']}",
            {"add": self.add, "refuse": self.refuse, "bytes": lambda: Reply({"parts": 1}, (b"abc",))},
            free=frozenset({"bytes"}),
            is_settled=lambda state: bool(state["is_over"]),
        )


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def panel(front: Front, counter: Counter, clock: FakeClock) -> Iterator[LivePanel]:
    panel = LivePanel(counter.subject(), clock=clock)
    panel.display()
    yield panel
    panel.close()


def ended(panel: LivePanel) -> bool:
    """Wait for the panel's thread, if there is one."""
    thread = panel._thread
    if thread is not None:
        thread.join(TIMEOUT_S)
        return not thread.is_alive()
    return True


def wake(panel: LivePanel) -> None:
    with panel._changed:
        panel._changed.notify_all()


def test_the_cell_shows_a_widget_and_a_static_form(front: Front, panel: LivePanel) -> None:
    """The widget's output says nothing to front ends without widgets; the static form stands beside it."""
    widget, _ = front.next_shown()
    static, is_update = front.next_shown()
    assert set(widget) == {"application/vnd.jupyter.widget-view+json", "text/plain"}
    assert widget["text/plain"] == ""
    assert (static["text/plain"], is_update) == ("reads: 1", False)
    assert f"dspex-static-{panel._display_id}" in static["text/html"]


def test_nothing_is_read_before_a_view_is_seen(counter: Counter, panel: LivePanel) -> None:
    """What no page shows costs nothing."""
    assert not panel.is_watching
    assert counter.reads == 1


def test_a_view_is_sent_the_state_each_second(front: Front, panel: LivePanel, clock: FakeClock) -> None:
    """While a view is open a new state comes with each interval."""
    front.say(kind="seen")
    assert front.next_state()["reads"] == 2
    clock.advance(1.0)
    wake(panel)
    assert front.next_state()["reads"] == 3


def test_the_thread_ends_with_the_last_view(front: Front, panel: LivePanel) -> None:
    """When the page says that its last view is gone nothing is read any more."""
    front.say(kind="seen")
    front.next_state()
    thread = panel._thread
    front.say(kind="unseen")
    assert thread is not None
    thread.join(TIMEOUT_S)
    assert not panel.is_watching


def test_the_thread_ends_when_the_page_falls_silent(front: Front, panel: LivePanel, clock: FakeClock) -> None:
    """A browser that was closed says nothing; after a while nothing is read any more."""
    panel._watch = panel._watch.__class__(lapse_s=20.0)
    front.say(kind="seen")
    front.next_state()
    thread = panel._thread
    clock.advance(30.0)
    wake(panel)
    assert thread is not None
    thread.join(TIMEOUT_S)
    assert not panel.is_watching


def test_a_view_that_is_opened_again_goes_on(front: Front, panel: LivePanel) -> None:
    """After the watch has ended the next view begins another."""
    front.say(kind="seen")
    front.next_state()
    front.say(kind="unseen")
    ended(panel)
    front.say(kind="seen")
    assert front.next_state()["reads"] > 2


def test_an_order_is_answered_and_its_effect_is_read(front: Front, counter: Counter, panel: LivePanel) -> None:
    """The answer has the order's id and value; the state after it comes at once."""
    front.say(kind="order", id="p-1", order="add", params={"number": 4})
    reply = front.next_reply()
    assert (reply["id"], reply["value"]) == ("p-1", 4)
    assert front.next_state()["reads"] > 1


def test_an_order_that_is_said_twice_is_done_once(front: Front, counter: Counter, panel: LivePanel) -> None:
    """A page says it again until it hears the answer: the answer is repeated, the order is not."""
    for _ in range(3):
        front.say(kind="order", id="p-1", order="add", params={"number": 4})
    assert front.next_reply()["value"] == 4
    front.say(kind="order", id="p-1", order="add", params={"number": 4})
    assert front.next_reply()["value"] == 4
    assert counter.ordered == [4]


@pytest.mark.parametrize(
    ("order", "params", "said"),
    [
        ("refuse", {}, "Not so."),
        ("nonsense", {}, "no order"),
        ("add", {"what": 1}, "unexpected keyword"),
        ("add", "no mapping", "no order"),
    ],
)
def test_what_goes_wrong_is_told(front: Front, panel: LivePanel, order: str, params: Any, said: str) -> None:
    """A refusal comes with its message, and the panel lives on."""
    front.say(kind="order", id="p-1", order=order, params=params)
    assert said in front.next_reply()["error"]["message"]
    front.say(kind="order", id="p-2", order="add", params={"number": 1})
    assert front.next_reply()["value"] == 1


def test_a_hint_is_told(front: Front, panel: LivePanel) -> None:
    """What to do about a refusal comes along."""
    front.say(kind="order", id="p-1", order="refuse", params={})
    assert front.next_reply()["error"]["hint"] == "Do it otherwise."


def test_bytes_go_beside_the_answer(front: Front, panel: LivePanel) -> None:
    """An order may answer with buffers."""
    front.say(kind="order", id="p-1", order="bytes", params={})
    reply = front.next_reply()
    assert (reply["value"], [bytes(one) for one in reply["buffers"]]) == ({"parts": 1}, [b"abc"])


def test_what_is_settled_is_not_read_again(front: Front, counter: Counter, clock: FakeClock) -> None:
    """A trace that is over needs no thread."""
    counter.is_over = True
    panel = LivePanel(counter.subject(), clock=clock)
    panel.display()
    front.say(kind="seen")
    assert not panel.is_watching
    front.say(kind="order", id="p-1", order="add", params={"number": 2})
    assert front.next_reply()["value"] == 2
    assert ended(panel)
    panel.close()


def test_the_static_form_is_kept_anew(front: Front, panel: LivePanel) -> None:
    """A notebook that is saved later shows what was seen last."""
    front.next_shown(), front.next_shown()
    front.say(kind="seen")
    front.next_state()
    front.say(kind="unseen")
    bundle, is_update = front.next_shown()
    assert is_update
    assert bundle["text/plain"] != "reads: 1"


def test_nonsense_from_the_page_does_no_harm(front: Front, panel: LivePanel) -> None:
    """Whatever a page sends, it begins nothing by itself."""
    front.say(kind="what")
    front.comms[-1].handle_msg({"content": {"data": {"method": "custom", "content": [1]}}, "buffers": []})
    assert not panel.is_watching


def test_a_broken_subject_ends_the_watch_only(front: Front, clock: FakeClock) -> None:
    """A subject that raises stops being shown, and nothing else."""
    counter = Counter()
    panel = LivePanel(counter.subject(), clock=clock)
    panel.display()
    counter.read = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    object.__setattr__(panel._subject, "read", counter.read)
    front.say(kind="seen")
    assert ended(panel)
    assert not panel.is_watching
    panel.close()


def test_a_terminal_shows_text_once(terminal: Callable[[], list[dict[str, Any]]], counter: Counter) -> None:
    """Where there are no widgets there is the text, and no thread."""
    before = threading.active_count()
    LivePanel(counter.subject()).display()
    assert terminal() == [{"text/plain": "reads: 1"}]
    assert threading.active_count() == before


def test_its_repr_is_a_status_line(panel: LivePanel) -> None:
    """It says whether it is live."""
    assert repr(panel) == "<LivePanel pools [still]>"
