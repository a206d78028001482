"""The book of sessions: who has which, and why those that ended did."""

from __future__ import annotations

from typing import Any

import pytest

from dspex_lab.errors import ConfigurationError, SessionLost
from dspex_lab.pool.sessions import Sessions


def test_a_session_is_its_owner_s() -> None:
    """Its owner finds it; to others, and after its end to them too, it is unknown."""
    sessions = Sessions()
    session = sessions.open(b"anna", "general", idle_expiry_s=1.0, now=0.0)
    assert sessions.find(session.id, b"anna") is session
    assert sessions.of(b"bert") == ()
    for _ in range(2):
        with pytest.raises(SessionLost, match="does not know it"):
            sessions.find(session.id, b"bert")
        sessions.end(session, "it was closed")
    with pytest.raises(SessionLost, match="it was closed"):
        sessions.find(session.id, b"anna")


def test_ids_are_not_to_be_guessed() -> None:
    """A session of a host before is not one of this host's by chance."""
    sessions = Sessions()
    ids = {sessions.open(b"", "general", idle_expiry_s=1.0, now=0.0).id for _ in range(100)}
    assert (len(ids), {len(one) for one in ids}) == (100, {16})


@pytest.mark.parametrize(
    ("calls", "now", "has_expired"), [(set(), 9.9, False), (set(), 10.0, True), ({"one"}, 99.0, False)]
)
def test_it_expires_without_calls(calls: set[str], now: float, has_expired: bool) -> None:
    """At idle_expiry_s after its last use, unless a call is under way."""
    session = Sessions().open(b"", "general", idle_expiry_s=8.0, now=2.0)
    session.calls = calls
    assert session.has_expired(now) is has_expired


@pytest.mark.parametrize("expiry", [0, -1, float("inf"), float("nan"), "600", True, None])
def test_an_expiry_is_a_time(expiry: Any) -> None:
    """What is no number of seconds above 0 is a ConfigurationError that names the key."""
    with pytest.raises(ConfigurationError) as caught:
        Sessions().open(b"", "general", idle_expiry_s=expiry, now=0.0)
    assert caught.value.config_key == "idle_expiry_s"


def test_only_the_latest_ends_are_remembered() -> None:
    """The memory of why sessions ended has a bound."""
    sessions = Sessions()
    for _ in range(1_100):
        sessions.end(sessions.open(b"", "general", idle_expiry_s=1.0, now=0.0), "it was closed")
    assert len(sessions._ended) == 1_000
    assert repr(sessions) == "<Sessions [open: 0]>"
