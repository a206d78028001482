"""Orders that a run's own notebook answers: whom they reach, and what is said when nobody does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dspex_lab.errors import ConfigurationError, DeadlineExceeded, ValidationError
from dspex_lab.pool.notebook_runs import NotebookRuns
from dspex_lab.pool.run_orders import RunOrders, Told
from dspex_lab.testing.host import FakeHost
from dspex_lab.wire.messages import RUN_ANSWER, RUN_RERUN, Notice

LIMIT_S = 20.0


class Bench:
    """Two notebooks, and orders to them."""

    def __init__(self, *, limit_s: float = LIMIT_S) -> None:
        self.host = FakeHost()
        self.host.add_client("one")
        self.host.add_client("two")
        self.runs = NotebookRuns(self.host.broker.peers, self.host.outbox)
        self.orders = RunOrders(self.runs, self.host.outbox, limit_s=limit_s)

    def own(self, peer: bytes) -> None:
        """The run "r" is this notebook's."""
        self.runs.heard(peer, [{"name": "run.start", "attributes": {"run_id": "r"}}])

    async def given(self, **attributes: Any) -> asyncio.Task[Any]:
        """An order about the run "r", on its way to a notebook."""
        task = asyncio.create_task(self.orders.give(RUN_ANSWER, "r", **attributes))
        await asyncio.sleep(0)
        return task

    def asked(self) -> list[tuple[bytes, Notice]]:
        return [(peer, message) for peer, message, _ in self.host.outbox.sent if isinstance(message, Notice)]

    def answer(self, told: Told, *, by: bytes | None = None) -> None:
        """The notebook that was asked last answers."""
        peer, notice = self.asked()[-1]
        self.orders.told(by or peer, notice.attributes["order"], told)


async def test_the_run_s_notebook_is_asked_and_answers() -> None:
    """It alone, with what was typed as it is; its value is that of the order, and nothing is left of it."""
    bench = Bench()
    bench.own(b"two")
    order = await bench.given(question="q", values={"approved": "perhaps"})
    ((peer, notice),) = bench.asked()
    assert (peer, notice.name) == (b"two", RUN_ANSWER)
    sent = {name: value for name, value in notice.attributes.items() if name != "order"}
    assert sent == {"run_id": "r", "question": "q", "values": {"approved": "perhaps"}}
    bench.answer(Told(has_run=True, value="done"))
    assert await order == "done"
    assert repr(bench.orders) == "<RunOrders [waiting: 0]>"


async def test_what_the_notebook_refuses_is_the_order_s_error() -> None:
    """With its faults, field by field."""
    bench = Bench()
    bench.own(b"one")
    order = await bench.given()
    bench.answer(Told(has_run=True, error=ValidationError("No answer.", ({"field": "stars", "message": "Too many."},))))
    with pytest.raises(ValidationError) as caught:
        await order
    assert caught.value.errors == ({"field": "stars", "message": "Too many."},)


async def test_notebooks_are_asked_in_turn_where_none_told_of_the_run() -> None:
    """The next one only when the one before has it not: nothing is done twice."""
    bench = Bench()
    order = await bench.given()
    assert [peer for peer, _ in bench.asked()] == [b"one"]
    bench.answer(Told(has_run=False))
    await asyncio.sleep(0)
    assert [peer for peer, _ in bench.asked()] == [b"one", b"two"]
    bench.answer(Told(has_run=True, value=1))
    assert await order == 1


async def test_nobody_answers_for_another() -> None:
    """Neither a notebook that was not asked, nor a second time, nor to an order that nobody gave."""
    bench = Bench()
    bench.own(b"one")
    order = await bench.given()
    bench.answer(Told(has_run=True, value="wrong"), by=b"two")
    bench.orders.told(b"one", "made up", Told(has_run=True, value="wrong"))
    bench.answer(Told(has_run=True, value="right"))
    bench.answer(Told(has_run=True, value="late"))
    assert await order == "right"
    bench.answer(Told(has_run=True, value="late"))


async def test_a_notebook_that_leaves_answers_no_more() -> None:
    """Who gave the order hears at once that nobody has the run, and how it goes on."""
    bench = Bench()
    bench.own(b"one")
    order = await bench.given()
    bench.host.broker.remove_peer(b"one")
    bench.orders.left(b"one")
    with pytest.raises(ConfigurationError, match="No notebook has the run r") as caught:
        await order
    assert "resume()" in str(caught.value.hint)


async def test_without_notebooks_the_way_to_go_on_is_told() -> None:
    """The one that had the run has ended; nothing is sent."""
    bench = Bench()
    for peer in (b"one", b"two"):
        bench.host.broker.remove_peer(peer)
    with pytest.raises(ConfigurationError, match="The notebook that owns the run r has ended") as caught:
        await bench.orders.give(RUN_RERUN, "r", step="a")
    assert 'lab.run("r").resume() continues it' in str(caught.value.hint)
    assert bench.asked() == []


async def test_a_notebook_that_says_nothing_is_not_waited_for_for_ever() -> None:
    """It may be stopped, or too old to know of such orders."""
    bench = Bench(limit_s=0.01)
    bench.own(b"one")
    with pytest.raises(DeadlineExceeded, match=r"has not answered within 0\.01 s"):
        await bench.orders.give(RUN_ANSWER, "r")
    bench.answer(Told(has_run=True))
    assert repr(bench.orders) == "<RunOrders [waiting: 0]>"
