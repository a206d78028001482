"""Calls that workers make: as urgent as the call that makes them, in their notebook's turn, never in their own way."""

from __future__ import annotations

import pytest

from dspex_lab.errors import Cancelled
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.host import FakeHost
from dspex_lab.wire.messages import Failed, Submit


@pytest.fixture
def host() -> FakeHost:
    """Two workers for notebooks, and one more that they all ask."""
    made = FakeHost(PoolSpec(name="general", size=2), PoolSpec(name="neural", size=1))
    for name in ("one", "other"):
        made.add_client(name)
    return made


def run(host: FakeHost, call_id: str, client: bytes, *, priority: int = 0, pool: str = "general") -> bytes:
    """A notebook's call that runs; the worker that has it."""
    host.broker.submit(client, Submit(call_id, "x", pool, priority=priority), ())
    host.greet_all()
    return host.outbox.runs()[-1][0]


def ask(host: FakeHost, worker: bytes, call_id: str, parent: str | None, *, pool: str = "neural") -> None:
    host.broker.submit(worker, Submit(call_id, "lm", pool, parent=parent), ())


def taken(host: FakeHost, pool: str = "neural") -> list[str]:
    """The calls that wait, in the order in which they would run."""
    queue = host.workforce.pools[pool].queue
    return [queue.take() for _ in range(len(queue))]


def test_a_batchs_calls_are_batch(host: FakeHost) -> None:
    """What a worker says of its urgency counts only where it is less."""
    slow, quick = run(host, "batch", b"one", priority=1), run(host, "interactive", b"other")
    ask(host, slow, "of batch", "batch")
    ask(host, quick, "of interactive", "interactive")
    assert taken(host) == ["of interactive", "of batch"]


def test_notebooks_take_turns_not_workers(host: FakeHost) -> None:
    """Whose call runs on many workers has one turn, as any other notebook."""
    host.broker.workforce.resize("general", 3)
    workers = [run(host, name, b"one") for name in ("a", "b")]
    other = run(host, "c", b"other")
    for number in range(2):
        for worker, parent in zip(workers, ("a", "b"), strict=True):
            ask(host, worker, f"{parent}{number}", parent)
    ask(host, other, "c0", "c")
    ask(host, other, "c1", "c")
    assert taken(host) == ["a0", "c0", "b0", "c1", "a1", "b1"]


def test_the_notebook_is_the_owner_however_deep(host: FakeHost) -> None:
    """A call of a call of a call is the notebook's."""
    worker = run(host, "a", b"one")
    ask(host, worker, "b", "a", pool="general")
    (inner,) = host.greet_all()
    ask(host, inner, "c", "b")
    assert host.broker.calls["c"].owner == b"one"


def test_a_parent_that_is_another_workers_is_none(host: FakeHost) -> None:
    """Nobody takes another's turn by naming its call."""
    worker, _ = run(host, "a", b"one"), run(host, "b", b"other")
    ask(host, worker, "c", "b")
    assert host.broker.calls["c"].owner == worker


def test_a_call_that_could_never_run_is_refused(host: FakeHost) -> None:
    """Those that make it have every place of its pool: waiting would end with them."""
    worker = run(host, "a", b"one")
    ask(host, worker, "b", "a", pool="general")
    (inner,) = host.greet_all()
    ask(host, inner, "c", "b", pool="general")
    (error,) = [message.error for message in host.outbox.to(inner) if isinstance(message, Failed)]
    assert (error["type"], error["retryable"]) == ("PoolSaturated", False)
    assert set(host.broker.calls) == {"a", "b"}


def test_a_call_that_waits_for_others_is_not_refused(host: FakeHost) -> None:
    """A place that a call of somebody else's has will be free again."""
    worker, _ = run(host, "a", b"one"), run(host, "b", b"other")
    ask(host, worker, "c", "a", pool="general")
    assert "c" in host.broker.calls


def test_a_pools_arguments_are_bounded_in_bytes() -> None:
    """Over its queue_limit_mb it is saturated, until a call has ended; one call alone may be larger."""
    host = FakeHost(PoolSpec(name="general", size=1, queue_limit_mb=1))
    client = host.add_client()
    for name in ("large", "refused"):
        host.broker.submit(client, Submit(name, "x", "general"), (b"x" * 2_000_000,))
    assert host.outbox.errors_to(client) == {"refused": "PoolSaturated"}
    host.broker.stop_call(host.broker.calls["large"], Cancelled("x"))
    assert host.workforce.pools["general"].held_bytes == 0
    host.broker.submit(client, Submit("next", "x", "general"), (b"x" * 2_000_000,))
    assert "next" in host.broker.calls
