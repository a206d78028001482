"""Whose a run is, and who is asked to cancel it."""

from __future__ import annotations

from typing import Any

import pytest

from dspex_lab.errors import ConfigurationError
from dspex_lab.pool.notebook_runs import NotebookRuns
from dspex_lab.testing.host import FakeHost
from dspex_lab.wire.messages import RUN_CANCEL, Hello, Notice


def event(name: str, run_id: object = "r", **more: Any) -> dict[str, Any]:
    return {"name": name, "time": 0.0, "attributes": {"run_id": run_id, **more}}


@pytest.fixture
def host() -> FakeHost:
    """Two notebooks and a panel."""
    made = FakeHost()
    made.add_client("one")
    made.add_client("two")
    made.broker.add_peer(b"panel", Hello(1, "", "observer", "panel", 1))
    return made


@pytest.fixture
def runs(host: FakeHost) -> NotebookRuns:
    return NotebookRuns(host.broker.peers, host.outbox)


def notices(host: FakeHost) -> list[tuple[bytes, Notice]]:
    return [(peer, message) for peer, message, _ in host.outbox.sent if isinstance(message, Notice)]


@pytest.mark.parametrize("name", ["run.start", "pipeline.step"])
def test_the_notebook_that_told_of_the_run_is_asked(host: FakeHost, runs: NotebookRuns, name: str) -> None:
    """It alone, with nothing but the run's id; any of the run's events says that it is there."""
    runs.heard(b"two", [event(name)])
    assert runs.cancel("r") == ["two"]
    assert notices(host) == [(b"two", Notice(RUN_CANCEL, {"run_id": "r"}))]


def test_every_notebook_is_asked_for_a_run_that_nobody_told_of(host: FakeHost, runs: NotebookRuns) -> None:
    """A host that came later does not know whose it is; panels and workers have no runs."""
    assert runs.cancel("r") == ["one", "two"]
    assert [peer for peer, _ in notices(host)] == [b"one", b"two"]


def test_a_run_without_a_notebook_is_told_so(host: FakeHost, runs: NotebookRuns) -> None:
    """Nobody could cancel it, and who asks for it hears that."""
    for peer in (b"one", b"two"):
        host.broker.remove_peer(peer)
    with pytest.raises(ConfigurationError, match="The notebook that owns the run r has ended"):
        runs.cancel("r")
    assert notices(host) == []


def test_what_a_notebook_leaves_without_an_end_is_told(runs: NotebookRuns) -> None:
    """Those under way, once; neither those that ended nor another notebook's."""
    runs.heard(b"one", [event("run.start", "a"), event("run.start", "b"), event("run.end", "b")])
    runs.heard(b"two", [event("run.start", "c")])
    assert runs.left(b"one") == ["a"]
    assert runs.left(b"one") == []


def test_a_run_that_is_over_has_its_notebook_until_that_leaves(host: FakeHost, runs: NotebookRuns) -> None:
    """Its steps can be run again there; one that goes on elsewhere is that notebook's."""
    runs.heard(b"one", [event("run.start", "a"), event("run.end", "a")])
    assert (runs.owner("a"), runs.asked("a"), runs.owner("b")) == ("one", [b"one"], None)
    runs.heard(b"two", [event("run.start", "a")])
    assert runs.owner("a") == "two"
    runs.heard(b"two", [event("run.end", "a")])
    assert runs.left(b"two") == []
    assert runs.owner("a") is None


@pytest.mark.parametrize("attributes", [None, [], {}, {"run_id": 5}, {"run_id": None}])
def test_what_is_no_runs_event_is_passed_over(runs: NotebookRuns, attributes: Any) -> None:
    """Whatever a client tells, the host goes on."""
    runs.heard(b"one", [{"name": "run.start", "attributes": attributes}, {}])
    assert runs.left(b"one") == []


def test_what_is_remembered_is_bounded(runs: NotebookRuns) -> None:
    """Of very many runs without an end the latest are known."""
    runs.heard(b"one", [event("run.start", str(number)) for number in range(10_050)])
    left = runs.left(b"one")
    assert (len(left), left[-1]) == (10_000, "10049")
