"""Looking at the host without starting one: what is asked, and of whom."""

from __future__ import annotations

import os

import pytest

from dspex_lab import observer
from dspex_lab.errors import HostUnavailable, ProtocolError
from dspex_lab.lab import Lab
from dspex_lab.testing import FakeBackend


def test_without_a_host_the_answer_is_none() -> None:
    """Nothing is started by looking."""
    with Lab() as lab:
        assert lab.observer.ask("status") is None
        assert not lab.has_host()


def test_a_backend_without_a_host_is_asked_itself() -> None:
    """A scripted backend, or a cluster, answers for itself."""
    with Lab(backend=FakeBackend({}, replies={"echo": lambda value: value})) as lab:
        assert lab.observer.ask("echo", value=3) == 3
        with pytest.raises(ProtocolError):
            lab.observer.ask("nonsense")


def test_closing_twice_is_harmless() -> None:
    """The lab closes it, and so may others."""
    with Lab() as lab:
        lab.observer.close()
        lab.observer.close()


def test_a_closed_one_opens_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A panel may ask while its lab is being closed: nobody would close that line again."""
    monkeypatch.setattr(observer, "find_host", lambda _: True)
    with Lab() as lab:
        lab.observer.close()
        with pytest.raises(HostUnavailable, match="closed"):
            lab.observer.ask("status")


@pytest.mark.usefixtures("ended_host")
def test_an_observer_is_none_of_the_hosts_clients() -> None:
    """It is asked over a line of its own, which keeps no host alive."""
    with Lab() as working, Lab() as looking:
        working.start()
        status = looking.observer.ask("status")
        assert [client["pid"] for client in status["clients"]] == [os.getpid()]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_host_that_ends_meanwhile_is_no_error(monkeypatch: pytest.MonkeyPatch, is_there: bool) -> None:
    """The line was lost because the host has gone: None. A host that is there and does not answer: an error."""
    found = [True, is_there]
    monkeypatch.setattr(observer, "find_host", lambda _: found.pop(0) or None)
    with Lab() as lab:
        monkeypatch.setattr(lab.observer, "_line", FakeBackend({}, replies={"status": _lost}))
        if is_there:
            with pytest.raises(HostUnavailable):
                lab.observer.ask("status")
        else:
            assert lab.observer.ask("status") is None


def _lost() -> None:
    raise HostUnavailable("The pool host ended while the call was under way.")
