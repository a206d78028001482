"""Workers are replaced after so many calls or at such an age, and never lose a call for it."""

from __future__ import annotations

from dspex_lab.pool.records import WorkerPhase
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.host import FakeHost
from dspex_lab.wire.messages import Done, Heartbeat, Submit


def call(host: FakeHost, call_id: str, *, priority: int = 0, caller: bytes = b"notebook") -> None:
    if caller not in host.broker.peers:
        host.add_client(caller.decode())
    host.broker.submit(caller, Submit(id=call_id, op="x", pool="general", priority=priority), (b"",))


def beat(host: FakeHost, worker_id: str) -> None:
    beat = Heartbeat(rss_bytes=1, cpu_s=0.0, in_flight=0)
    host.workforce.heard(host.workforce.workers[worker_id], beat.rss_bytes, beat.cpu_s)


def test_a_worn_worker_makes_room_for_a_fresh_one() -> None:
    """After its last call the worker is stopped, and the call that waits goes to the next one."""
    host = FakeHost(PoolSpec(name="general", size=1, recycle_after_calls=1))
    call(host, "one")
    peer = host.greet("general-1")
    call(host, "two")
    host.broker.done(peer, Done("one"), (b"",))
    assert host.kernels.stopped == ["general-1"]
    host.broker.worker_exited("general-1", 0)
    assert host.kernels.started == ["general-1", "general-2"]
    fresh = host.greet("general-2")
    assert host.outbox.runs() == [(peer, "one"), (fresh, "two")]


def test_an_old_worker_drains_first() -> None:
    """A worker past its age finishes the calls that it has, takes no more, and is stopped after the last."""
    host = FakeHost(PoolSpec(name="general", size=1, concurrency=2, recycle_after_s=10.0))
    call(host, "one")
    peer = host.greet("general-1")
    call(host, "two")
    host.clock.advance(11.0)
    beat(host, "general-1")
    host.examine()
    assert host.workforce.workers["general-1"].phase is WorkerPhase.DRAINING
    call(host, "three")
    host.broker.done(peer, Done("one"), (b"",))
    assert host.kernels.stopped == []
    assert [call_id for _, call_id in host.outbox.runs()] == ["one", "two"]
    host.broker.done(peer, Done("two"), (b"",))
    assert host.kernels.stopped == ["general-1"]


def test_a_draining_worker_keeps_its_place() -> None:
    """While a worker drains, the pool starts no other beyond its size."""
    host = FakeHost(PoolSpec(name="general", size=1, concurrency=2, recycle_after_calls=1))
    call(host, "one")
    peer = host.greet("general-1")
    call(host, "two")
    host.broker.done(peer, Done("one"), (b"",))
    call(host, "three")
    assert host.kernels.started == ["general-1"]


def test_an_interactive_call_goes_before_waiting_batches() -> None:
    """A call of a lower priority number is run before those that waited longer."""
    host = FakeHost(PoolSpec(name="general", size=1))
    for number in range(3):
        call(host, f"batch-{number}", priority=1)
    peer = host.greet("general-1")
    call(host, "urgent", caller=b"other")
    host.broker.done(peer, Done("batch-0"), (b"",))
    assert [call_id for _, call_id in host.outbox.runs()] == ["batch-0", "urgent"]


def test_a_worker_that_grew_drains_before_it_is_too_large() -> None:
    """It finishes the call that it has, and takes no more: none is lost to memory that only grows."""
    host = FakeHost(PoolSpec(name="general", size=1, recycle_above_mb=64, max_memory_mb=128))
    call(host, "one")
    peer = host.greet("general-1")
    host.workforce.heard(host.workforce.workers["general-1"], 65 * 1024 * 1024, 0.0)
    host.examine()
    assert host.workforce.workers["general-1"].phase is WorkerPhase.DRAINING
    assert host.kernels.killed == host.kernels.stopped == []
    host.broker.done(peer, Done("one"), (b"",))
    assert host.kernels.stopped == ["general-1"]


def test_a_worker_that_asks_for_it_is_replaced() -> None:
    """It finishes the calls that it has, and takes no more."""
    host = FakeHost(PoolSpec(name="general", size=1))
    call(host, "one")
    peer = host.greet("general-1")
    worker = host.workforce.workers["general-1"]
    host.workforce.heard(worker, 1, 0.0, is_worn=True)
    assert worker.phase is WorkerPhase.DRAINING
    assert host.kernels.stopped == []
    host.broker.done(peer, Done("one"), (b"",))
    assert host.kernels.stopped == ["general-1"]
