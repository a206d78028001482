"""Cells: what is begun in one hangs under it, from whatever thread, and empty ones leave nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dspex_lab.calls import TraceContext
from dspex_lab.errors import Cancelled
from dspex_lab.telemetry import Cells, current_trace, use_trace
from dspex_lab.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cells(clock: FakeClock) -> Iterator[Cells]:
    made = Cells(clock)
    yield made
    made.end()


def test_a_cell_is_a_span_from_its_beginning_to_its_end(cells: Cells, clock: FakeClock) -> None:
    """With its number and its first line."""
    cells.begin("answer = ask(q)\nanswer")
    place = cells.place()
    clock.advance(3.0)
    span = cells.end(7)
    assert span is not None
    assert (span.context, span.parent_id, span.name, span.duration_s) == (place, None, "cell [7]", 3.0)
    assert span.attributes["dspex.cell.text"] == "answer = ask(q) …"


def test_a_cell_in_which_nothing_was_traced_leaves_no_span(cells: Cells) -> None:
    """Most cells are none of ours."""
    cells.begin("1 + 1")
    assert cells.end(1) is None
    assert cells.end(2) is None


def test_outside_of_cells_there_is_no_place(cells: Cells) -> None:
    """A script's run is a trace of its own."""
    assert cells.place() is None
    cells.begin("x")
    cells.end(1)
    assert (cells.place(), current_trace()) == (None, None)


def test_a_thread_that_inherits_nothing_hangs_under_the_cell(cells: Cells) -> None:
    """As those of an executor."""
    cells.begin("x")
    found: list[TraceContext | None] = []
    thread = threading.Thread(target=lambda: found.append(cells.place()))
    thread.start()
    thread.join()
    assert found == [current_trace()]
    assert cells.end(1) is not None


def test_what_runs_under_something_else_stays_there(cells: Cells) -> None:
    """A span that is open here is nearer than the cell, which has nothing of its own then."""
    cells.begin("x")
    inner = TraceContext("a" * 32, "b" * 16)
    with use_trace(inner):
        assert cells.place() == inner
    assert cells.end(1) is None


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (ValueError("no"), "error", "ValueError"),
        (KeyboardInterrupt(), "cancelled", None),
        (Cancelled("no"), "cancelled", None),
        (None, "ok", None),
    ],
)
def test_how_a_cell_ended_is_its_status(
    cells: Cells, error: BaseException | None, status: str, kind: str | None
) -> None:
    """An interrupt is no failure."""
    cells.begin("x")
    cells.place()
    span = cells.end(1, error)
    assert span is not None
    assert (span.status, span.attributes.get("error.type")) == (status, kind)
