"""When what waits for a panel is due, and what goes together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.testing.clock import FakeClock
from dspex_lab.widgets.outbox import Outbox, TextPiece


def piece(text: str = "x", *, step: str = "s", field: str = "f", at: int = 0) -> TextPiece:
    return TextPiece(step, field, at, text)


def test_nothing_is_due_when_nothing_waits() -> None:
    """An empty outbox never asks to be sent."""
    assert Outbox().due_in(5.0) is None


def test_the_first_piece_is_due_at_once() -> None:
    """Nothing was sent lately: a piece waits for nothing."""
    outbox = Outbox()
    outbox.put_text(piece())
    assert outbox.due_in(0.0) == 0.0


def test_the_next_piece_waits_for_the_interval() -> None:
    """Right after a batch the next is due when the interval is over, and not later for what comes meanwhile."""
    outbox, clock = Outbox(interval_s=0.03), FakeClock()
    outbox.put_text(piece())
    outbox.take(clock.monotonic())
    clock.advance(0.01)
    outbox.put_text(piece())
    assert outbox.due_in(clock.monotonic()) == pytest.approx(0.02)
    clock.advance(0.01)
    outbox.put_text(piece())
    assert outbox.due_in(clock.monotonic()) == pytest.approx(0.01)
    clock.advance(0.01)
    assert outbox.due_in(clock.monotonic()) == pytest.approx(0.0)


def test_a_batch_empties_the_outbox() -> None:
    """What was taken is not sent again."""
    outbox = Outbox()
    outbox.put_text(piece())
    outbox.put_texts()
    batch = outbox.take(0.0)
    assert (batch.has_state, batch.has_texts, outbox.is_empty) == (True, True, True)


def test_a_batch_remembers_its_oldest_piece() -> None:
    """The delay that a reader sees is measured from the piece that waited longest."""
    outbox = Outbox()
    outbox.put_text(piece(), sent_at=10.0)
    outbox.put_text(piece(), sent_at=11.0)
    assert outbox.take(0.0).sent_at == 10.0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("fg"), st.text(min_size=1)), max_size=30), st.data())
def test_pieces_come_out_as_they_went_in(texts: list[tuple[str, str, str]], data: st.DataObject) -> None:
    """Whenever batches are taken, the pieces of each field join to its text, each saying where it begins."""
    outbox = Outbox()
    put: dict[tuple[str, str], str] = {}
    got: dict[tuple[str, str], str] = {}
    for number, (step, field, text) in enumerate([*texts, ("a", "f", "end")]):
        outbox.put_text(piece(text, step=step, field=field, at=len(put.get((step, field), ""))))
        put[step, field] = put.get((step, field), "") + text
        if number == len(texts) or data.draw(st.booleans()):
            for one in outbox.take(float(number)).pieces:
                assert one.at == len(got.get((one.step, one.field), ""))
                got[one.step, one.field] = got.get((one.step, one.field), "") + one.text
    assert got == put


def test_a_fast_model_makes_thirty_batches_a_second() -> None:
    """500 tokens a second make about 30 messages a second, and no token waits longer than the interval."""
    outbox, clock, batches = Outbox(), FakeClock(), 0
    for _ in range(1000):
        outbox.put_text(piece())
        if outbox.due_in(clock.monotonic()) == 0:
            outbox.take(clock.monotonic())
            batches += 1
        clock.advance(1 / 500)
    assert 50 <= batches <= 61
