"""The shelf: what is kept open, and what has to go."""

from __future__ import annotations

from dspex_lab.shelf import Shelf


class Thing:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_the_oldest_goes_when_there_is_no_room() -> None:
    """It is closed, once; the others stay open."""
    shelf, things = Shelf(2), [Thing() for _ in range(3)]
    for thing in things:
        shelf.put(thing)
    assert [thing.closed for thing in things] == [1, 0, 0]
    assert repr(shelf) == "<Shelf [2 of 2]>"


def test_what_is_used_again_is_the_newest() -> None:
    """Putting it there again takes no more room."""
    shelf, (first, second, third) = Shelf(2), (Thing(), Thing(), Thing())
    for thing in (first, second, first, third):
        shelf.put(thing)
    assert (first.closed, second.closed) == (0, 1)


def test_what_is_taken_is_not_closed() -> None:
    """What is left is, when the shelf is cleared."""
    shelf, (first, second) = Shelf(2), (Thing(), Thing())
    shelf.put(first)
    shelf.put(second)
    shelf.take(first)
    shelf.take(Thing())
    shelf.clear()
    assert (first.closed, second.closed, len(shelf)) == (0, 1, 0)


def test_one_that_cannot_be_closed_keeps_nothing_else_from_it() -> None:
    """Neither what is put there next, nor what is closed after it."""

    class Broken(Thing):
        def close(self) -> None:
            raise OSError

    shelf, last = Shelf(1), Thing()
    shelf.put(Broken())
    shelf.put(Broken())
    shelf.put(last)
    shelf.clear()
    assert last.closed == 1
