"""Whose traces keep no prompts: those of the peers that want it so, from then on."""

from __future__ import annotations

import pytest

from dspex_lab.pool import privacy as module
from dspex_lab.pool.privacy import Privacy
from dspex_lab.telemetry import Span

MINE, OTHERS = b"mine", b"others"


def span(trace_id: str) -> Span:
    return Span(trace_id, "1", None, "x", 0.0, 1.0)


def test_traces_of_those_who_ask_for_it_are_private() -> None:
    """Others' are not, whatever order their calls come in."""
    privacy = Privacy()
    privacy.begun(MINE, "before")
    privacy.add(MINE)
    privacy.begun(OTHERS, "other")
    privacy.begun(MINE, "own")
    assert [privacy.is_private(span(one)) for one in ("before", "other", "own")] == [False, False, True]


def test_what_was_private_stays_so_when_its_owner_left() -> None:
    """Its workers may still tell of it; who comes next under that name is another."""
    privacy = Privacy()
    privacy.add(MINE)
    privacy.begun(MINE, "own")
    privacy.forget(MINE)
    privacy.begun(MINE, "next")
    assert (privacy.is_private(span("own")), privacy.is_private(span("next"))) == (True, False)


def test_it_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten: nobody tells of them any more."""
    monkeypatch.setattr(module, "_MAX_TRACES", 2)
    privacy = Privacy()
    privacy.add(MINE)
    for trace_id in "abcc":
        privacy.begun(MINE, trace_id)
    assert repr(privacy) == "<Privacy [peers: 1, traces: 2]>"
    assert privacy.is_private(span("c"))
