"""The heart of the host: takes calls in, hands them to workers, and ends each one exactly once.

Synchronous and without I/O: messages leave through an :class:`Outbox`, workers are moved by ``workforce``, time comes
from a clock. What time alone decides (deadlines, silence, memory) is in ``health``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from dspex_lab.clock import Clock
from dspex_lab.errors import Cancelled, LabError, PoolSaturated, ProtocolError, WorkerLost
from dspex_lab.pool.admission import Admission
from dspex_lab.pool.assignment import assign
from dspex_lab.pool.records import (
    CallPhase,
    CallRecord,
    PeerRecord,
    PoolRecord,
    WorkerPhase,
    WorkerRecord,
    why_it_ended,
    why_it_failed,
)
from dspex_lab.pool.sessions import SessionRecord, Sessions, session_lost
from dspex_lab.pool.workforce import Workforce
from dspex_lab.telemetry.spans import new_span_id
from dspex_lab.wire.framing import Frames
from dspex_lab.wire.messages import Cancel, ChunkOut, Credit, Done, Failed, Hello, Message, Run, Started, Submit

__all__ = ["Broker", "OnEnd", "Outbox"]

#: A call that took so many workers down with it is not tried on another.
_MAX_ATTEMPTS = 5
_ROLES = frozenset({"client", "observer", "worker"})


class Outbox(Protocol):
    """The way out to peers. A peer that is gone is no error: its end is told elsewhere."""

    def send(self, peer: bytes, message: Message, payload: Frames = ()) -> None: ...


#: Told of every call that was queued and ended: with its answer and that one's payload, or with its error as a dict.
OnEnd = Callable[[CallRecord, Done | None, Frames, dict[str, Any]], None]


class Broker:
    """Peers, the calls between them, and their sessions."""

    def __init__(
        self,
        workforce: Workforce,
        outbox: Outbox,
        clock: Clock,
        *,
        on_begin: Callable[[CallRecord], None] = lambda _: None,
        on_end: OnEnd = lambda *_: None,
    ) -> None:
        self.workforce = workforce
        self.peers: dict[bytes, PeerRecord] = {}
        self.calls: dict[str, CallRecord] = {}
        self.sessions = Sessions()
        self._admission = Admission(workforce, self.peers, self.calls, self.sessions)
        self._outbox = outbox
        self._clock = clock
        self._on_begin, self._on_end = on_begin, on_end

    # --- peers ------------------------------------------------------------------------------------------------

    def add_peer(self, peer: bytes, hello: Hello) -> None:
        """Take in a client, or a worker that is expected; a stranger that calls itself one is an error, and so is
        saying hello twice."""
        if hello.role not in _ROLES:
            raise ProtocolError(f"The host knows no role {hello.role!r}.")
        if peer in self.peers:
            raise ProtocolError("Say hello only once.")
        worker = self.workforce.greet(hello.name, peer, hello.pid) if hello.role == "worker" else None
        self.peers[peer] = PeerRecord(hello.name, hello.pid, hello.role, worker)
        if worker is not None:
            self.balance(self.workforce.pools[worker.pool])

    def remove_peer(self, peer: bytes) -> None:
        """The peer left or died: nobody waits for its calls any more, and its sessions are nobody else's."""
        record = self.peers.pop(peer, None)
        if record is None:
            return
        for session in self.sessions.of(peer):
            self.end_session(session, "its owner left")
        for call_id in list(record.calls):
            call = self.calls.get(call_id)
            if call is not None and not call.submit.detached:
                self.stop_call(call, Cancelled("The caller left."), is_answered=True)

    # --- calls ------------------------------------------------------------------------------------------------

    def submit(self, peer: bytes, submit: Submit, payload: Frames) -> None:
        """Queue a call; a full queue, an unknown pool, a session that ended and an id in use are answered at once."""
        size_bytes = sum(map(len, payload))
        try:
            submit, owner = self._admission.inherited(peer, self.workforce.placed(submit))
            session = self._admission.admit(peer, submit, size_bytes)
        except LabError as error:
            if pool := self.workforce.pools.get(submit.pool):
                pool.counters.submitted += 1
                pool.counters.failed += 1
            self._outbox.send(peer, Failed(submit.id, error.to_dict()))
            return
        pool = self.workforce.pools[submit.pool]
        pool.counters.submitted += 1
        now = self._clock.monotonic()
        deadline = None if submit.timeout_s is None else now + submit.timeout_s
        span_id = "" if submit.trace_id is None else new_span_id()
        call = CallRecord(
            submit, payload, peer, now, deadline, owner=owner, size_bytes=size_bytes, session=session, span_id=span_id
        )
        self.calls[submit.id] = call
        pool.held_bytes += size_bytes
        self._on_begin(call)
        self.peers[peer].calls.add(submit.id)
        if session is not None:
            session.calls.add(submit.id)
            session.last_used = now
        is_behind_others = pool.is_full() and pool.waiting_in_line(submit, session) > 0
        pool.add_waiting(call)
        pool.is_awake = True
        if not is_behind_others:
            self.balance(pool)

    def balance(self, pool: PoolRecord) -> None:
        """Ask for the assignment of ``pool`` and carry it out."""
        now = self._clock.monotonic()
        assignment = assign(pool.snapshot(now))
        for worker_id in assignment.checkouts:
            pool.check_out(pool.workers[worker_id])
        if pool.sessions:
            for call_id, worker in pool.next_of_sessions():
                self._run(self.calls[call_id], worker, now)
        for call_id, worker in pool.next_calls(assignment):
            self._run(self.calls[call_id], worker, now)
        for _ in range(assignment.start):
            self.workforce.start(pool)
        for worker_id in assignment.retire:
            self.workforce.stop(pool.workers[worker_id])

    def _refill(self, pool: PoolRecord) -> None:
        """A call ended, and there is room for another. What time alone decides is the next tick's business."""
        if pool.has_waiting():
            self.balance(pool)

    def _run(self, call: CallRecord, worker: WorkerRecord, now: float) -> None:
        if worker.peer is None:
            raise RuntimeError(f"worker {worker.id} takes calls but never said hello")
        submit = call.submit
        call.phase, call.worker_id, call.started_at = CallPhase.RUNNING, worker.id, now
        call.attempts += 1
        call.credit_left = submit.credit if submit.stream else 0
        worker.begin(submit)
        message = Run(
            id=submit.id,
            op=submit.op,
            timeout_s=None if call.deadline is None else call.deadline - now,
            trace_id=submit.trace_id,
            span_id=call.span_id or None,
            stream=submit.stream,
            credit=submit.credit,
            segments=submit.segments,
            session=submit.session,
        )
        self._outbox.send(worker.peer, message, call.payload)

    # --- what callers say of their calls ----------------------------------------------------------------------

    def cancel(self, peer: bytes, message: Cancel) -> None:
        call = self.calls.get(message.id)
        if call is not None and call.caller == peer:
            self.stop_call(call, Cancelled(f"{call.submit.op} was cancelled."))

    def credit(self, peer: bytes, message: Credit) -> None:
        call = self.calls.get(message.id)
        if call is None or call.caller != peer:
            return
        worker = self.workforce.workers.get(call.worker_id or "")
        if worker is not None and worker.peer is not None:
            call.credit_left += message.count
            self._outbox.send(worker.peer, message)

    def stop_call(self, call: CallRecord, error: LabError, *, is_answered: bool = False) -> None:
        """Bring the call to its end with ``error``: at once when it waits, within the pool's grace when it runs.

        With ``is_answered`` the caller is told (or gone) already, and only the worker has yet to stop.
        """
        if call.phase is CallPhase.QUEUED:
            self.workforce.pools[call.submit.pool].remove_waiting(call)
            self._end(call, error, is_told=is_answered)
            return
        call.is_answered = call.is_answered or is_answered
        if call.phase is CallPhase.STOPPING:
            return
        worker = self.workforce.workers[call.worker_id or ""]
        call.phase, call.stop_error = CallPhase.STOPPING, error
        call.kill_at = self._clock.monotonic() + self.workforce.pools[worker.pool].spec.cancel_grace_s
        if worker.peer is not None:
            self._outbox.send(worker.peer, Cancel(call.submit.id))
        if call.interruptible == "signal":
            self.workforce.interrupt(worker)

    # --- what workers say of calls ----------------------------------------------------------------------------

    def started(self, peer: bytes, message: Started) -> None:
        call = self._call_of_worker(peer, message.id)
        if call is None:
            return
        call.interruptible = message.interruptible
        if call.phase is CallPhase.STOPPING and message.interruptible == "signal":
            self.workforce.interrupt(self.workforce.workers[call.worker_id or ""])

    def chunk(self, peer: bytes, message: ChunkOut) -> None:
        """Pass a piece of a stream on. A worker that sends more than it may is at fault: ``ProtocolError``."""
        call = self._call_of_worker(peer, message.id)
        if call is None:
            return
        if call.credit_left <= 0:
            raise ProtocolError("A stream went on without credit.")
        call.credit_left -= 1
        if not call.is_answered:
            call.is_untouched = False
            self._outbox.send(call.caller, message)

    def done(self, peer: bytes, message: Done, payload: Frames) -> bool:
        """Whether somebody gets the value."""
        call = self._call_of_worker(peer, message.id)
        if call is None:
            return False
        if call.stop_error is not None:
            self._leave_worker(call)
            self._end(call, call.stop_error, is_told=call.is_answered)
            return False
        self._leave_worker(call)
        self._forget(call)
        pool = self.workforce.pools[call.submit.pool]
        pool.counters.succeeded += 1
        self._on_end(call, message, payload, {})
        answer = Done(
            id=message.id,
            run_s=message.run_s,
            queue_s=call.started_at - call.submitted_at,
            worker=call.worker_id or "",
            input_tokens=message.input_tokens,
            output_tokens=message.output_tokens,
            cost=message.cost,
            lm_calls=message.lm_calls,
            segments=message.segments,
        )
        self._outbox.send(call.caller, answer, payload)
        self._refill(pool)
        return True

    def failed(self, peer: bytes, message: Failed) -> None:
        call = self._call_of_worker(peer, message.id)
        if call is None:
            return
        self._leave_worker(call)
        error = call.stop_error.to_dict() if call.stop_error is not None else message.error
        self._end(call, error, is_told=call.is_answered)

    def _call_of_worker(self, peer: bytes, call_id: str) -> CallRecord | None:
        """The call, if that very worker has it; an answer that comes twice or too late is dropped."""
        call = self.calls.get(call_id)
        record = self.peers.get(peer)
        if call is None or record is None or record.worker is None or call.worker_id != record.worker.id:
            return None
        return call

    # --- ends -------------------------------------------------------------------------------------------------

    def worker_exited(self, worker_id: str, status: int, reason: str = "") -> None:
        """A worker's process is gone: its calls run again elsewhere or fail, and the calls it made are stopped."""
        worker = self.workforce.workers.get(worker_id)
        if worker is None:
            return
        if worker.peer is not None:
            self.remove_peer(worker.peer)
        # The youngest first: each that runs again goes to the front of the queue.
        orphans = sorted(
            (self.calls[call_id] for call_id in worker.calls), key=lambda call: call.submitted_at, reverse=True
        )
        self.workforce.bury(worker, status, reason)
        pool = self.workforce.pools[worker.pool]
        if worker.session is not None:
            self.end_session(worker.session, why_it_ended(worker, orphans, status))
        for call in orphans:
            self._rescue(call, worker, pool, status)
        if pool.trouble is not None and pool.has_given_up():
            self._fail_queue(pool)
        self.balance(pool)

    def _rescue(self, call: CallRecord, worker: WorkerRecord, pool: PoolRecord, status: int) -> None:
        if call.stop_error is not None:
            self._end(call, call.stop_error, is_told=call.is_answered)
            return
        error = why_it_failed(worker, call, status)
        if call.submit.idempotent and call.is_untouched and error.retryable and call.attempts < _MAX_ATTEMPTS:
            call.phase, call.worker_id, call.interruptible = CallPhase.QUEUED, None, None
            pool.line(call).put_back(call.submit.id, call.owner, priority=call.submit.priority)
        else:
            self._end(call, error)

    def _fail_queue(self, pool: PoolRecord) -> None:
        error = WorkerLost(f"The pool {pool.spec.name!r} cannot start a worker: {pool.trouble}", hint="See %lab logs.")
        for call_id in pool.take_all_waiting():
            self._end(self.calls[call_id], error)

    # --- sessions ---------------------------------------------------------------------------------------------

    def open_session(self, peer: bytes, pool_name: str, idle_expiry_s: float) -> SessionRecord:
        """A session of ``peer``; its worker is checked out with its first call. Raises ``ConfigurationError``."""
        pool = self.workforce.pool(pool_name)
        if (refusal := self.workforce.refusal(pool)) is not None:
            raise refusal
        if len(pool.sessions) >= pool.spec.queue_limit:
            raise PoolSaturated(
                f"The pool {pool_name!r} has {len(pool.sessions)} sessions, its limit.",
                hint="Close those that are not needed any more.",
            )
        session = self.sessions.open(peer, pool_name, idle_expiry_s=idle_expiry_s, now=self._clock.monotonic())
        pool.sessions[session.id] = session
        return session

    def end_session(self, session: SessionRecord, reason: str) -> None:
        """End the session, its calls with ``SessionLost``, and its worker with its state; twice is once."""
        if not self.sessions.end(session, reason):
            return
        pool = self.workforce.pools[session.pool]
        pool.drop_session(session)
        worker = self.workforce.workers.get(session.worker_id or "")
        if worker is not None:
            # Nobody wants its state: there is no grace for what it still does.
            (self.workforce.kill if worker.calls else self.workforce.stop)(worker)
        error, is_told = session_lost(reason), session.owner not in self.peers
        for call in [self.calls[call_id] for call_id in session.calls]:
            if call.phase is CallPhase.QUEUED:
                self.stop_call(call, error, is_answered=is_told)
            elif call.phase is CallPhase.RUNNING:
                if not is_told:
                    self._outbox.send(call.caller, Failed(call.submit.id, error.to_dict(), call.worker_id or ""))
                call.phase, call.stop_error, call.is_answered = CallPhase.STOPPING, error, True
        self.balance(pool)

    def _leave_worker(self, call: CallRecord) -> None:
        worker = self.workforce.workers[call.worker_id or ""]
        worker.finish(call.submit.id, self._clock.monotonic())
        self.workforce.recycle_if_due(worker)

    def _end(self, call: CallRecord, error: LabError | dict[str, Any], *, is_told: bool = False) -> None:
        """The call ends badly; its caller is told unless it was told before."""
        self._forget(call)
        pool = self.workforce.pools[call.submit.pool]
        data = error.to_dict() if isinstance(error, LabError) else error
        if data.get("type") == Cancelled.__name__:
            pool.counters.cancelled += 1
        else:
            pool.counters.failed += 1
        self._on_end(call, None, (), data)
        if not is_told:
            self._outbox.send(call.caller, Failed(call.submit.id, data, call.worker_id or ""))
        self._refill(pool)

    def answer_early(self, call: CallRecord, error: LabError) -> None:
        """Tell the caller now and stop the call after: its time is up, and it waits no longer."""
        if not call.is_answered:
            self._outbox.send(call.caller, Failed(call.submit.id, error.to_dict(), call.worker_id or ""))
        self.stop_call(call, error, is_answered=True)

    def _forget(self, call: CallRecord) -> None:
        if self.calls.pop(call.submit.id, None) is not None:
            self.workforce.pools[call.submit.pool].held_bytes -= call.size_bytes
        if call.session is not None:
            call.session.calls.discard(call.submit.id)
            call.session.last_used = self._clock.monotonic()
        if caller := self.peers.get(call.caller):
            caller.calls.discard(call.submit.id)

    def __repr__(self) -> str:
        ready = sum(worker.phase is WorkerPhase.READY for worker in self.workforce.workers.values())
        return f"<Broker [peers: {len(self.peers)}, workers ready: {ready}, calls: {len(self.calls)}]>"
