"""The broker under any order of events: every call ends exactly once, and the books balance at all times."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dspex_lab.errors import PoolSaturated, ProtocolError, PythonError, WorkerMemoryExceeded
from dspex_lab.pool.records import WorkerPhase
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.host import FakeHost
from dspex_lab.wire.messages import Cancel, ChunkOut, Credit, Done, Failed, Run, Started, Submit

CLIENTS = [b"anna", b"bert"]
POOLS = ["general", "wide"]


class Books(RuleBasedStateMachine):
    """Clients, workers and time do whatever they like."""

    @initialize()
    def begin(self) -> None:
        self.host = FakeHost(
            PoolSpec(name="general", size=2, min_ready=1, queue_limit=4, cancel_grace_s=1.0, idle_retire_s=20.0),
            PoolSpec(name="wide", size=1, concurrency=3, op_timeout_s=40.0, cancel_grace_s=1.0),
        )
        for client in CLIENTS:
            self.host.add_client(client.decode())
        self.callers: dict[str, bytes] = {}
        self.left: set[bytes] = set()
        self.left_calls: set[str] = set()
        self.sessions: dict[str, tuple[bytes, str]] = {}

    def pick(self, data: st.DataObject, items: Any) -> Any:
        return data.draw(st.sampled_from(sorted(items)))

    # --- clients

    @rule(
        data=st.data(),
        pool=st.sampled_from(POOLS),
        is_idempotent=st.booleans(),
        timeout_s=st.sampled_from([None, 1.0, 5.0]),
    )
    def submit(self, data: st.DataObject, *, pool: str, is_idempotent: bool, timeout_s: float | None) -> None:
        peers = [peer for peer in self.host.broker.peers if peer not in self.left]
        if not peers:
            return
        peer = self.pick(data, peers)  # a worker makes calls too
        call_id = f"c{len(self.callers)}"
        self.callers[call_id] = peer
        message = Submit(
            id=call_id, op="x", pool=pool, timeout_s=timeout_s, idempotent=is_idempotent, stream=True, credit=2
        )
        self.host.broker.submit(peer, message, (b"",))

    @rule(data=st.data(), pool=st.sampled_from(POOLS), idle_expiry_s=st.sampled_from([5.0, 60.0]))
    def open_session(self, data: st.DataObject, *, pool: str, idle_expiry_s: float) -> None:
        peer = self.pick(data, self.host.broker.peers or [b""])
        if not peer:
            return
        with contextlib.suppress(PoolSaturated):
            self.sessions[self.host.broker.open_session(peer, pool, idle_expiry_s).id] = (peer, pool)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), is_its_own=st.booleans(), is_idempotent=st.booleans())
    def submit_to_session(self, data: st.DataObject, *, is_its_own: bool, is_idempotent: bool) -> None:
        """A call to a session, open or not, of who has it or of somebody else."""
        session = list(self.sessions)[data.draw(st.integers(0, len(self.sessions) - 1))]  # ids are random
        owner, pool = self.sessions[session]
        peer = owner if is_its_own else self.pick(data, self.host.broker.peers or [b""])
        if peer not in self.host.broker.peers:
            return
        is_open = any(one.id == session and one.owner == peer for one in self.host.broker.sessions)
        call_id = f"c{len(self.callers)}"
        self.callers[call_id] = peer
        message = Submit(id=call_id, op="x", pool=pool, session=session, idempotent=is_idempotent)
        self.host.broker.submit(peer, message, (b"",))
        if not is_open:
            assert self.host.outbox.errors_to(peer)[call_id] == "SessionLost"

    @precondition(lambda self: len(self.host.broker.sessions) > 0)
    @rule(data=st.data())
    def close_session(self, data: st.DataObject) -> None:
        sessions = list(self.host.broker.sessions)
        self.host.broker.end_session(sessions[data.draw(st.integers(0, len(sessions) - 1))], "it was closed")

    @precondition(lambda self: self.callers)
    @rule(data=st.data(), is_stranger=st.booleans())
    def cancel(self, data: st.DataObject, *, is_stranger: bool) -> None:
        call_id = self.pick(data, self.callers)
        self.host.broker.cancel(b"stranger" if is_stranger else self.callers[call_id], Cancel(call_id))

    @precondition(lambda self: self.callers)
    @rule(data=st.data())
    def credit(self, data: st.DataObject) -> None:
        call_id = self.pick(data, self.callers)
        self.host.broker.credit(self.callers[call_id], Credit(call_id, 1))

    @precondition(lambda self: len(self.left) < len(CLIENTS))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        client = self.pick(data, set(CLIENTS) - self.left)
        self.left.add(client)
        self.host.broker.remove_peer(client)

    # --- workers

    def starting(self) -> list[str]:
        return [one.id for one in self.host.workforce.workers.values() if one.phase is WorkerPhase.STARTING]

    def serving(self) -> list[str]:
        return [one.id for one in self.host.workforce.workers.values() if one.peer is not None]

    @precondition(lambda self: self.starting())
    @rule(data=st.data())
    def greet(self, data: st.DataObject) -> None:
        self.host.greet(self.pick(data, self.starting()))

    @precondition(lambda self: self.serving() and self.callers)
    @rule(
        data=st.data(),
        answer=st.sampled_from(["started task", "started signal", "chunk", "done", "failed"]),
        is_its_own=st.booleans(),
    )
    def answer(self, data: st.DataObject, *, answer: str, is_its_own: bool) -> None:
        """A worker says something of one of its calls, or of any call that there ever was."""
        worker = self.pick(data, self.serving())
        own = self.host.workforce.workers[worker].calls
        call_id = self.pick(data, own if is_its_own and own else self.callers)
        peer, broker = worker.encode(), self.host.broker
        match answer:
            case "started task" | "started signal":
                broker.started(peer, Started(call_id, answer.split()[1]))
            case "chunk":
                # Without credit left it is the worker's fault, which the host ends it for.
                with contextlib.suppress(ProtocolError):
                    broker.chunk(peer, ChunkOut(call_id, 0, "text"))
            case "done":
                broker.done(peer, Done(call_id), (b"",))
            case _:
                broker.failed(peer, Failed(call_id, PythonError("it failed").to_dict()))

    @precondition(lambda self: self.host.workforce.workers)
    @rule(data=st.data(), is_for_memory=st.booleans())
    def exit(self, data: st.DataObject, *, is_for_memory: bool) -> None:
        name = self.pick(data, self.host.workforce.workers)
        if is_for_memory:
            self.host.workforce.kill(self.host.workforce.workers[name], WorkerMemoryExceeded("too much"))
        self.host.broker.worker_exited(name, -9)

    # --- time

    @rule(seconds=st.sampled_from([0.1, 0.6, 1.0, 10.0, 40.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.host.clock.advance(seconds)
        for worker in self.host.workforce.workers.values():
            self.host.workforce.heard(worker, 0, 0.0)
        self.host.examine()

    # --- what always holds

    @invariant()
    def the_books_balance(self) -> None:
        under_way = dict.fromkeys(POOLS, 0)
        for call in self.host.broker.calls.values():
            under_way[call.submit.pool] += 1
        for name, pool in self.host.workforce.pools.items():
            counters = pool.counters
            ended = counters.succeeded + counters.failed + counters.cancelled
            assert counters.submitted == ended + under_way[name]

    @invariant()
    def no_call_ends_twice(self) -> None:
        told = [message.id for _, message, _ in self.host.outbox.sent if isinstance(message, Done | Failed)]
        assert len(told) == len(set(told))

    @invariant()
    def nobody_is_told_of_anothers_call(self) -> None:
        for peer, message, _ in self.host.outbox.sent:
            if isinstance(message, Done | Failed | ChunkOut):
                assert peer == self.callers[message.id]

    @invariant()
    def calls_and_workers_agree(self) -> None:
        for worker in self.host.workforce.workers.values():
            assert len(worker.calls) <= self.host.workforce.pools[worker.pool].spec.concurrency
            assert all(self.host.broker.calls[call_id].worker_id == worker.id for call_id in worker.calls)
        for pool in self.host.workforce.pools.values():
            assert all(self.host.broker.calls[call_id].worker_id is None for call_id in pool.queue)
            assert all(self.host.broker.calls[call_id].session is None for call_id in pool.queue)
            at_work = [one for one in pool.workers.values() if one.phase is not WorkerPhase.STOPPING]
            assert len(at_work) <= pool.spec.size

    @invariant()
    def sessions_and_workers_agree(self) -> None:
        broker = self.host.broker
        for worker in self.host.workforce.workers.values():
            users = [broker.calls[call_id].session for call_id in worker.calls]
            assert all(user is worker.session for user in users)
            assert worker.session is None or len(worker.calls) <= 1
            assert worker.session in broker.sessions or worker.session is None or worker.phase is WorkerPhase.STOPPING
        for pool in self.host.workforce.pools.values():
            assert all(session in broker.sessions for session in pool.sessions.values())
            assert set(pool.checkouts) == {one.id for one in pool.sessions.values() if one.needs_worker()}
        assert sum(len(pool.sessions) for pool in self.host.workforce.pools.values()) == len(broker.sessions)
        for session in broker.sessions:
            assert session.owner in broker.peers
            assert session.calls == {call.submit.id for call in broker.calls.values() if call.session is session}
            if session.worker_id is not None:
                assert self.host.workforce.workers[session.worker_id].session is session

    @invariant()
    def no_call_of_a_session_runs_twice(self) -> None:
        runs = [message.id for _, message, _ in self.host.outbox.sent if isinstance(message, Run) and message.session]
        assert len(runs) == len(set(runs))

    def teardown(self) -> None:
        """Let workers start, answer and be killed as ordered, and sessions end: in the end nothing is under way."""
        if not hasattr(self, "host"):
            return
        for _ in range(200):
            if not self.host.broker.calls:
                break
            for name in self.starting():
                self.host.greet(name)
            for name in self.serving():
                for call_id in list(self.host.workforce.workers[name].calls):
                    self.host.broker.done(name.encode(), Done(call_id), (b"",))
            for session in [one for one in self.host.broker.sessions if not one.calls]:
                self.host.broker.end_session(session, "it was closed")  # others may wait for its worker
            for name in set(self.host.kernels.killed) & self.host.workforce.workers.keys():
                self.host.broker.worker_exited(name, -9)
            for name in set(self.host.kernels.stopped) & self.host.workforce.workers.keys():
                self.host.broker.worker_exited(name, 0)
            self.let_time_pass(0.6)
        assert self.host.broker.calls == {}
        told = {message.id for _, message, _ in self.host.outbox.sent if isinstance(message, Done | Failed)}
        for call_id, caller in self.callers.items():
            is_there = caller in self.host.broker.peers
            assert call_id in told or not is_there


TestBooks = Books.TestCase
TestBooks.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
