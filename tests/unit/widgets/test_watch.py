"""When a live panel reads, and when it stops: by the clock alone."""

from __future__ import annotations

from dspex_lab.widgets.watch import Watch


def test_nobody_looks_at_first() -> None:
    """A watch that no view was heard of is over."""
    assert Watch().is_over(0.0)


def test_a_view_that_was_heard_of_is_read_at_once() -> None:
    """The first reading is due when a view is seen."""
    watch = Watch().seen(10.0)
    assert not watch.is_over(10.0)
    assert watch.due_in(10.0) == 0


def test_it_is_read_once_in_an_interval() -> None:
    """After a reading the next is due an interval later."""
    watch = Watch(interval_s=1.0).seen(10.0).read(10.0)
    assert watch.due_in(10.25) == 0.75
    assert watch.due_in(11.0) == 0


def test_an_order_hurries_the_next_reading() -> None:
    """What an order came to is seen at once."""
    assert Watch().seen(10.0).read(10.0).hurried().due_in(10.1) == 0


def test_a_silent_view_is_counted_out() -> None:
    """A page that was closed without a word is noticed; one that says so now and then is not."""
    watch = Watch(lapse_s=20.0).seen(10.0)
    assert not watch.is_over(30.0)
    assert watch.is_over(30.5)
    assert not watch.seen(30.5).is_over(45.0)


def test_a_view_that_cannot_be_heard_is_not_counted_out() -> None:
    """Where the kernel hears nothing while it is busy, silence says nothing."""
    assert not Watch(lapse_s=None).seen(10.0).is_over(1e6)


def test_a_closed_view_ends_it() -> None:
    """The last view was closed: it is over at once."""
    assert Watch().seen(10.0).unseen().is_over(10.0)
