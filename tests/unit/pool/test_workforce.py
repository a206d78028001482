"""The workers' lives: greeting, stopping, back-off, resize, and what a pool says of its trouble."""

from __future__ import annotations

import itertools

import pytest

from dspex_lab.errors import ConfigurationError, ProtocolError, WorkerMemoryExceeded
from dspex_lab.pool.records import WorkerPhase, WorkerRecord
from dspex_lab.pool.workforce import Workforce
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.clock import FakeClock
from dspex_lab.testing.host import FakeHost, RecordingKernels
from dspex_lab.wire.messages import Done, Submit


def waiting(host: FakeHost, *, call_id: str = "one", pool: str = "general") -> None:
    """A client's call that waits for a worker."""
    if b"notebook" not in host.broker.peers:
        host.add_client()
    host.broker.submit(b"notebook", Submit(id=call_id, op="x", pool=pool), (b"",))


LEGAL = {
    (WorkerPhase.STARTING, WorkerPhase.READY),
    (WorkerPhase.STARTING, WorkerPhase.STOPPING),
    (WorkerPhase.STARTING, WorkerPhase.GONE),
    (WorkerPhase.READY, WorkerPhase.DRAINING),
    (WorkerPhase.READY, WorkerPhase.STOPPING),
    (WorkerPhase.READY, WorkerPhase.GONE),
    (WorkerPhase.DRAINING, WorkerPhase.STOPPING),
    (WorkerPhase.DRAINING, WorkerPhase.GONE),
    (WorkerPhase.STOPPING, WorkerPhase.GONE),
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(WorkerPhase, WorkerPhase)))
def test_only_legal_steps_are_taken(before: WorkerPhase, after: WorkerPhase) -> None:
    """Every pair of phases is a legal step or raises."""
    worker = WorkerRecord("w", "general", before, 0.0)
    if (before, after) in LEGAL:
        worker.step(after, 1.0)
        assert (worker.phase, worker.since) == (after, 1.0)
    else:
        with pytest.raises(RuntimeError, match="cannot go from"):
            worker.step(after, 1.0)


def test_every_step_is_told() -> None:
    """on_change sees a worker start, serve, stop and go."""
    phases: list[str] = []
    force = Workforce(
        (PoolSpec(name="general"),), RecordingKernels(), FakeClock(), lambda worker: phases.append(worker.phase.value)
    )
    worker = force.start(force.pool("general"))
    force.greet(worker.id, b"peer", 1)
    force.stop(worker)
    force.bury(worker, 0)
    assert phases == ["starting", "ready", "stopping", "gone"]


def test_greeting_twice_is_a_protocol_error() -> None:
    """A worker that serves, and one that was never started, are not expected."""
    force = Workforce((PoolSpec(name="general"),), RecordingKernels(), FakeClock())
    worker = force.start(force.pool("general"))
    force.greet(worker.id, b"peer", 1)
    for name in (worker.id, "general-7"):
        with pytest.raises(ProtocolError):
            force.greet(name, b"peer", 1)


def test_stopping_twice_asks_once() -> None:
    """A worker that is asked to go is not asked again."""
    host = FakeHost()
    worker = host.workforce.start(host.workforce.pool("general"))
    host.workforce.stop(worker)
    host.workforce.stop(worker)
    assert host.kernels.stopped == [worker.id]


# --- pools that cannot start --------------------------------------------------------------------------------------


def test_a_crash_at_the_start_backs_off_longer_each_time() -> None:
    """The next start waits 0.5 s, then 1, 2, 4 ..., and never more than 30."""
    host = FakeHost()
    pool = host.workforce.pool("general")
    pauses = []
    for _ in range(10):
        worker = host.workforce.start(pool)
        host.workforce.bury(worker, 1)
        pauses.append(pool.may_start_at - host.clock.monotonic())
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]


def test_a_pool_that_backs_off_starts_nobody_until_then() -> None:
    """No worker is started before the pause is over, and one is after it."""
    host = FakeHost()
    waiting(host)
    host.broker.worker_exited("general-1", 1)
    host.clock.advance(0.4)
    host.examine()
    assert host.kernels.started == ["general-1"]
    host.clock.advance(0.1)
    host.examine()
    assert host.kernels.started == ["general-1", "general-2"]


def crash_at_start(host: FakeHost, times: int, reason: str = "") -> None:
    for _ in range(times):
        starting = [one for one in host.workforce.workers.values() if one.phase is WorkerPhase.STARTING]
        for worker in starting:
            host.broker.worker_exited(worker.id, 3, reason)
        host.clock.advance(31)
        host.examine()


def test_a_pool_that_gives_up_fails_what_waits_and_says_why() -> None:
    """After three starts that failed, waiting calls fail with the reason, and statistics show it."""
    host = FakeHost()
    waiting(host)
    crash_at_start(host, 2, "no such interpreter")
    assert host.outbox.errors_to(b"notebook") == {}
    crash_at_start(host, 1, "no such interpreter")
    assert host.outbox.errors_to(b"notebook") == {"one": "WorkerLost"}
    assert host.workforce.statistics()["general"]["trouble"] == "no such interpreter"


def test_a_worker_that_serves_ends_the_trouble() -> None:
    """One good start, and the pool is as good as new."""
    host = FakeHost()
    waiting(host)
    crash_at_start(host, 2)
    host.greet_all()
    pool = host.workforce.pool("general")
    assert (pool.start_failures, pool.trouble) == (0, None)


def test_a_pool_in_trouble_does_not_hold_up_another() -> None:
    """While one pool backs off, another starts and serves."""
    host = FakeHost(PoolSpec(name="bad", size=1), PoolSpec(name="good", size=1))
    waiting(host, pool="bad")
    host.broker.worker_exited("bad-1", 1)
    waiting(host, call_id="two", pool="good")
    host.greet("good-2")
    assert host.outbox.runs() == [(b"good-2", "two")]


def test_a_worker_that_hangs_at_its_start_is_a_failed_start() -> None:
    """It is killed after its time, counts as a failure, and the pool says that it never said hello."""
    host = FakeHost()
    waiting(host)
    for number in range(1, 4):
        host.clock.advance(60)
        host.examine()
        assert host.kernels.killed[-1] == f"general-{number}"
        host.broker.worker_exited(f"general-{number}", -9)
        host.clock.advance(31)
        host.examine()
    assert host.outbox.errors_to(b"notebook") == {"one": "WorkerLost"}
    assert "hello" in str(host.workforce.pool("general").trouble)


# --- resize, statistics -------------------------------------------------------------------------------------------


def test_a_pool_grows_while_calls_wait() -> None:
    """A larger size starts workers for what waits."""
    host = FakeHost()
    for number in range(3):
        waiting(host, call_id=str(number))
    host.workforce.resize("general", 3)
    host.broker.balance(host.workforce.pool("general"))
    assert len(host.kernels.started) == 3


def test_a_pool_shrinks_as_its_workers_idle() -> None:
    """A smaller size lets idle workers go, and no busy one."""
    host = FakeHost(PoolSpec(name="general", size=3))
    for number in range(3):
        waiting(host, call_id=str(number))
    host.greet_all()
    host.workforce.resize("general", 1)
    host.examine()
    assert host.kernels.stopped == []


@pytest.mark.parametrize("size", [0, 1000])
def test_an_impossible_size_is_a_configuration_error(size: int) -> None:
    """The error names the key, and the pool stays as it is."""
    host = FakeHost()
    with pytest.raises(ConfigurationError) as caught:
        host.workforce.resize("general", size)
    assert "size" in caught.value.config_key
    assert host.workforce.pool("general").spec.size == 1


def test_an_unknown_pool_is_a_configuration_error() -> None:
    """Its message names the pools that there are."""
    with pytest.raises(ConfigurationError, match="nowhere"):
        FakeHost().workforce.pool("nowhere")


def test_a_pool_of_the_same_name_is_kept() -> None:
    """Adding a pool that is there changes nothing."""
    host = FakeHost()
    host.workforce.add_pool(PoolSpec(name="general", size=9))
    assert host.workforce.pool("general").spec.size == 1


def test_statistics_are_plain_data() -> None:
    """A pool's statistics hold its counters and each worker's state."""
    host = FakeHost()
    waiting(host)
    host.greet_all()
    host.workforce.heard(host.workforce.workers["general-1"], 1024, 0.5)
    statistics = host.workforce.statistics()["general"]
    (worker,) = statistics["workers"]
    assert (worker["state"], worker["in_flight"], worker["rss_bytes"]) == ("busy", 1, 1024)
    assert statistics["counters"]["submitted"] == 1


def test_a_workers_share_of_a_processor_is_over_its_last_heartbeat() -> None:
    """Not known at first; what the pool has is the sum. Two beats at once say nothing."""
    host = FakeHost()
    waiting(host)
    host.greet_all()
    worker = host.workforce.workers["general-1"]
    host.workforce.heard(worker, 1, 10.0)
    assert (worker.cpu_percent, host.workforce.statistics()["general"]["cpu_percent"]) == (None, None)
    host.clock.advance(2.0)
    host.workforce.heard(worker, 1, 11.0)
    host.workforce.heard(worker, 1, 11.5)
    assert worker.cpu_percent == 50.0
    host.clock.advance(1.0)
    host.workforce.heard(worker, 1, 13.0)
    assert host.workforce.statistics()["general"]["cpu_percent"] == 200.0


def test_a_worker_that_was_ended_is_counted_as_lost() -> None:
    """Killed for its memory or dead by itself: lost; retired: not."""
    host = FakeHost(PoolSpec(name="general", size=3))
    pool = host.workforce.pool("general")
    killed, died, retired = (host.workforce.start(pool) for _ in range(3))
    host.greet_all()
    host.workforce.kill(killed, WorkerMemoryExceeded("too much"))
    host.workforce.stop(retired)
    for worker in (killed, died, retired):
        host.workforce.bury(worker, -9)
    assert pool.counters.lost_workers == 2


def test_its_repr_is_a_status_line() -> None:
    """repr() counts workers by pool."""
    assert repr(FakeHost().workforce) == "<Workforce [general: 0/1]>"


def test_a_restart_replaces_each_worker_after_its_calls() -> None:
    """Who idles goes at once, who is busy when it has finished; then there are others."""
    host = FakeHost(PoolSpec(name="general", size=2, min_ready=2))
    host.add_client()
    waiting(host)
    busy, idle = host.greet_all()
    assert host.workforce.restart("general") == 2
    assert host.kernels.stopped == [idle.decode()]
    host.broker.done(busy, Done("one"), ())
    assert host.kernels.stopped == [idle.decode(), busy.decode()]
    for worker in (idle, busy):
        host.broker.worker_exited(worker.decode(), 0)
    assert host.kernels.started == ["general-1", "general-2", "general-3", "general-4"]
    assert host.workforce.pools["general"].counters.lost_workers == 0


def test_a_pool_in_use_is_not_removed() -> None:
    """Nobody's call disappears with its pool."""
    host = FakeHost(PoolSpec(name="general", size=1))
    host.add_client()
    waiting(host)
    with pytest.raises(ConfigurationError, match="in use: 1 calls"):
        host.workforce.remove("general")


def test_a_removed_pool_takes_no_calls_and_is_forgotten_with_its_last_worker() -> None:
    """Until then its name is not given to another."""
    host = FakeHost(PoolSpec(name="general", size=1, min_ready=1), PoolSpec(name="other", size=1))
    client = host.add_client()
    waiting(host)
    (worker,) = host.greet_all()
    host.broker.done(worker, Done("one"), ())
    host.workforce.remove("general")
    waiting(host, call_id="two")
    assert host.outbox.errors_to(client) == {"two": "ConfigurationError"}
    assert list(host.workforce.statistics()) == ["other"]
    with pytest.raises(ConfigurationError, match="still ending"):
        host.workforce.add_pool(PoolSpec(name="general"))
    host.broker.worker_exited(worker.decode(), 0)
    host.workforce.forget_removed()
    host.workforce.add_pool(PoolSpec(name="general"))
    waiting(host, call_id="three")
    assert host.outbox.errors_to(client) == {"two": "ConfigurationError"}
