"""The panels that are asked for by name: what they read from the lab, and what their orders do. No host is started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dspex_lab.errors import ConfigurationError, HostUnavailable
from dspex_lab.lab import Lab, use_lab
from dspex_lab.pipelines import native, pipeline
from dspex_lab.settings import Settings
from dspex_lab.telemetry.spans import Span
from dspex_lab.telemetry.store import TraceStore
from dspex_lab.testing import FakeBackend
from dspex_lab.widgets import display_trace, show_metrics, show_pools, show_trace, trace
from dspex_lab.widgets.metrics_panel import MetricsDesk
from dspex_lab.widgets.pools_panel import PoolsDesk, pools_subject

if TYPE_CHECKING:
    from tests.unit.widgets.conftest import Front

Terminal = Callable[[], list[dict[str, Any]]]

STATUS: dict[str, Any] = {
    "host_id": "abcd",
    "pid": 4242,
    "uptime_s": 75.0,
    "clients": [],
    "pools": {
        "general": {
            "spec": {"size": 8, "max_memory_mb": 512},
            "queued": 0,
            "counters": {"submitted": 3, "succeeded": 2, "failed": 1, "cancelled": 0, "lost_workers": 0},
            "trouble": None,
            "workers": [],
        }
    },
}


class Host:
    """What the scripted host was asked, and what it answers."""

    def __init__(self) -> None:
        self.ordered: list[tuple[str, dict[str, Any]]] = []
        self.is_lost = False
        self.replies: dict[str, Any] = {
            "status": self._status,
            "pools.resize": lambda **told: self.ordered.append(("resize", told)),
            "pools.start": lambda **told: self.ordered.append(("start", told)),
            "pools.restart": self._restart,
            "stop": lambda: self.ordered.append(("stop", {})),
            "logs": {"/run/host.log": "all is well"},
        }

    def _status(self) -> dict[str, Any]:
        if self.is_lost:
            raise HostUnavailable("The pool host ended.")
        return STATUS

    def _restart(self, name: str) -> int:
        self.ordered.append(("restart", {"name": name}))
        return 2


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def lab(host: Host, tmp_path: Path) -> Iterator[Lab]:
    settings = Settings.create(data_dir=tmp_path, runtime_dir=tmp_path)
    with Lab(settings, backend=FakeBackend({}, replies=host.replies)) as made:
        before = use_lab(made)
        yield made
        use_lab(before)


def test_the_pools_are_shown_as_text_in_a_terminal(lab: Lab, terminal: Terminal) -> None:
    """Where there are no widgets the table is text."""
    show_pools()
    assert "general" in terminal()[0]["text/plain"]


def test_the_pools_are_read_from_the_host(lab: Lab) -> None:
    """The state is what the host tells."""
    state = PoolsDesk(lab).read()
    assert (state["host"]["id"], state["pools"][0]["name"]) == ("abcd", "general")


def test_a_lost_host_is_told_beside_what_was_known(lab: Lab, host: Host) -> None:
    """The panel goes on: it says what is wrong, and shows what it knew; and is right again when the host is back."""
    desk = PoolsDesk(lab)
    desk.read()
    host.is_lost = True
    state = desk.read()
    assert (state["trouble"], state["pools"][0]["name"]) == ("The pool host ended.", "general")
    host.is_lost = False
    assert desk.read()["trouble"] == ""


def test_a_closed_lab_settles_its_panels(lab: Lab) -> None:
    """Nothing more will come: the panel says so and stops."""
    subject = pools_subject(lab)
    lab.close()
    state = subject.read()
    assert state["trouble"] == "The lab is closed."
    assert subject.is_settled(state)


def test_orders_reach_the_host(lab: Lab, host: Host) -> None:
    """Each button of the panel does what its name says."""
    orders = pools_subject(lab).orders
    orders["resize"](pool="general", size=3)
    orders["start"](pool="general")
    orders["stop_host"]()
    assert orders["restart"](pool="general") == 2
    assert orders["logs"]() == {"/run/host.log": "all is well"}
    assert host.ordered == [
        ("resize", {"name": "general", "size": 3}),
        ("start", {"name": "general"}),
        ("stop", {}),
        ("restart", {"name": "general"}),
    ]


def test_an_order_about_a_pool_starts_no_host() -> None:
    """Where no host runs a resize is refused."""
    with Lab() as lab, pytest.raises(HostUnavailable, match="No pool host runs"):
        PoolsDesk(lab).resize("general", 3)


def test_looking_starts_no_host() -> None:
    """With no host the panels say so, and none is there afterwards."""
    with Lab() as lab:
        assert PoolsDesk(lab).read()["host"] is None
        assert not MetricsDesk(lab).read()["has_host"]
        assert not lab.has_host()


def test_a_host_that_tells_no_figures_is_said(lab: Lab) -> None:
    """A host of an older version knows no order for them."""
    assert "older version" in MetricsDesk(lab).read()["trouble"]


def test_the_figures_are_read_from_the_host(lab: Lab, host: Host) -> None:
    """What the host counts is told on as it is."""
    row = {"op": "dspy.run", "pool": "general", "calls": 1, "errors": 0}
    host.replies["statistics"] = {"since": 1.0, "series": [row], "history": {"": []}}
    lab.backend._replies.update(host.replies)  # type: ignore[attr-defined]  # the fake's own
    state = MetricsDesk(lab).read()
    assert (state["series"], state["trouble"], state["since"]) == ([row], "", 1.0)


def test_runs_are_there_to_compare(lab: Lab, terminal: Terminal) -> None:
    """A run that is over is shown with its steps."""
    made = pipeline("greet", start=lab.launcher.start, hello=native(lambda name: f"Hello {name}"))
    result = made(name="Ada")
    (run,) = MetricsDesk(lab).read()["runs"]
    assert (run["id"], run["status"]) == (result.run_id, "succeeded")
    assert [step["name"] for step in run["steps"]] == ["hello"]
    show_metrics()
    assert "greet" in terminal()[0]["text/plain"]


def test_a_trace_is_found_by_the_beginning_of_its_id(lab: Lab, terminal: Terminal) -> None:
    """The trace that the host wrote is shown; without an id the latest."""
    _write(lab, "ab" * 16, 10.0)
    _write(lab, "cd" * 16, 20.0)
    show_trace("abab")
    show_trace()
    texts = [bundle["text/plain"] for bundle in terminal()]
    assert "span of abab" in texts[0]
    assert "span of cdcd" in texts[1]


def test_a_trace_that_is_not_there_is_refused(lab: Lab) -> None:
    """An id that nobody wrote is an error with a hint."""
    with pytest.raises(ConfigurationError, match="There is no trace"):
        show_trace("ffff")
    with pytest.raises(ConfigurationError, match="Nothing was traced yet"):
        show_trace()


def test_a_runs_trace_is_found_by_its_run(lab: Lab, terminal: Terminal) -> None:
    """What a run of this notebook told is shown by the run's own id."""
    made = pipeline("greet", start=lab.launcher.start, hello=native(lambda name: f"Hello {name}"))
    result = made(name="Ada")
    show_trace(result.run_id[:8])
    assert "hello" in terminal()[0]["text/plain"]


def test_a_trace_as_a_value_shows_itself(lab: Lab, front: Front) -> None:
    """In a notebook a trace is a waterfall; its static form stands beside it."""
    _write(lab, "ab" * 16, 10.0)
    display_trace(trace("abab"))
    front.next_shown()
    static, _ = front.next_shown()
    assert "span of abab" in static["text/html"]
    front.say(kind="order", id="p-1", order="attributes", params={"span": "1" * 16})
    assert front.next_reply()["value"] == {"dspex.step": "a"}
    front.say(kind="order", id="p-2", order="attributes", params={"span": "nonsense"})
    assert "no span" in front.next_reply()["error"]["message"]


def test_panels_that_are_shown_again_and_again_do_not_pile_up(lab: Lab, front: Front) -> None:
    """The lab keeps a few alive and closes the older ones, whose static forms stay."""
    _write(lab, "ab" * 16, 10.0)
    for _ in range(50):
        display_trace(trace("abab"))
    assert len(lab.panels) == 40


def test_a_trace_in_a_terminal_is_text(lab: Lab) -> None:
    """Where there are no widgets IPython is told to take the value's text."""
    _write(lab, "ab" * 16, 10.0)
    with pytest.raises(NotImplementedError):
        display_trace(trace("abab"))


def _write(lab: Lab, trace_id: str, start: float) -> None:
    store = TraceStore(lab.settings.trace_file, 30, 64, clock=lab.clock)
    now = lab.clock.now() - 100.0 + start
    store.append(
        [], [Span(trace_id, "1" * 16, None, f"span of {trace_id[:4]}", now, now + 1.0, "ok", {"dspex.step": "a"})]
    )
    store.close()
