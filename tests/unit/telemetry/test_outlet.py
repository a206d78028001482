"""The outlet: what waits to be sent is bounded, in order, and what is dropped is counted."""

from __future__ import annotations

from dspex_lab.telemetry import Event, Outlet, Span


def span(number: int) -> Span:
    return Span("a" * 32, f"{number:016x}", None, str(number), 0.0, 1.0)


def test_what_waits_is_taken_in_order_and_once() -> None:
    """Oldest first, at most as many as asked for, and never twice."""
    outlet = Outlet()
    for number in range(5):
        outlet.add_span(span(number))
    outlet.add_event(Event("token", 0.0))
    first, events = outlet.take(3)
    second, none = outlet.take(3)
    assert [one.name for one in (*first, *second)] == ["0", "1", "2", "3", "4"]
    assert (len(events), none) == (1, [])
    assert outlet.is_empty()


def test_what_nobody_takes_is_dropped_and_counted() -> None:
    """The newest stay, and the statistics say how many did not."""
    outlet = Outlet(max_waiting=2)
    for number in range(5):
        outlet.add_span(span(number))
    assert outlet.statistics().dropped == 3
    assert [one.name for one in outlet.take()[0]] == ["3", "4"]
