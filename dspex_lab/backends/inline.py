"""This very process as a place where calls run: no host, no kernels, the same operations and the same protocol.

For tests and for small things where a pool is too much. What a worker process gives is missing here: a plain
operation that was cancelled goes on in its thread until it returns, and nothing limits memory.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any

from dspex_lab.backends.base import BackendStatistics
from dspex_lab.backends.inline_sessions import InlineSessions
from dspex_lab.calls import Call
from dspex_lab.errors import Cancelled, DeadlineExceeded, LabError, ProtocolError
from dspex_lab.portal import Portal
from dspex_lab.telemetry import Event, Span
from dspex_lab.wire.caller import Caller, RemoteCall
from dspex_lab.wire.framing import Frames
from dspex_lab.wire.messages import Cancel, Done, Failed, Message, Run, Started, Submit
from dspex_lab.worker.dispatch import Dispatcher

__all__ = ["InlineBackend"]


class InlineBackend:
    """Two joined ends of the protocol: the caller's, and a dispatcher whose main loop is on a thread of its own."""

    name = "inline"

    def __init__(self) -> None:
        self._caller = Caller(self._to_dispatcher)
        self._main: Portal | None = None
        self._dispatcher: Dispatcher | None = None
        self._sessions = InlineSessions(self._run, self._stop, self._forget_session)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        #: Calls that run as plain functions, which nothing can interrupt here.
        self._uninterruptible: set[str] = set()
        self._count = 0

    async def open(self) -> None:
        if self._dispatcher is None:
            self._main = Portal()
            main = self._main.call_soon(asyncio.get_running_loop)
            self._dispatcher = Dispatcher(main, self._to_caller, self.submit)

    def submit(self, call: Call) -> RemoteCall:
        self._count += 1
        pending = self._caller.submit(call)
        pending.on_end(lambda: self._ended(pending))
        return pending

    def _ended(self, pending: RemoteCall) -> None:
        if timer := self._timers.pop(pending.call.id, None):
            timer.cancel()
        self._uninterruptible.discard(pending.call.id)

    def _to_dispatcher(self, message: Message, payload: Frames) -> None:
        if self._dispatcher is None:
            if isinstance(message, Submit):
                self._fail(message.id, ProtocolError("The backend is not open."))
            return
        if isinstance(message, Submit):
            self._start(message, payload)
            return
        if isinstance(message, Cancel) and self._sessions.drop(message.id):
            self._fail(message.id, Cancelled("The call was cancelled before it began."))
            return
        self._dispatcher.receive(message, payload)
        if isinstance(message, Cancel) and message.id in self._uninterruptible:
            self._fail(message.id, Cancelled("The call was cancelled; its function goes on until it returns."))

    def _start(self, submit: Submit, payload: Frames) -> None:
        if submit.timeout_s is not None:
            loop = asyncio.get_running_loop()
            self._timers[submit.id] = loop.call_later(submit.timeout_s, self._expire, submit)
        run = Run(
            id=submit.id,
            op=submit.op,
            timeout_s=submit.timeout_s,
            trace_id=submit.trace_id,
            span_id=submit.span_id,
            stream=submit.stream,
            credit=submit.credit,
            session=submit.session,
        )
        if submit.session is None:
            self._run(run, payload)
            return
        try:
            self._sessions.submit(submit.session, run, payload)
        except LabError as error:
            self._fail(submit.id, error)

    def _run(self, run: Run, payload: Frames) -> None:
        if self._dispatcher is not None:
            self._dispatcher.receive(run, payload)

    def _expire(self, submit: Submit) -> None:
        where = "waiting for its session" if self._sessions.drop(submit.id) else "running"
        self._stop(
            submit.id, DeadlineExceeded(f"{submit.op} was still {where} when its {submit.timeout_s:g} s were over.")
        )

    def _stop(self, call_id: str, error: LabError) -> None:
        """Tell the caller now and stop the call after."""
        self._fail(call_id, error)
        if self._dispatcher is not None:
            self._dispatcher.receive(Cancel(call_id), ())

    def _forget_session(self, session_id: str) -> None:
        if self._dispatcher is not None:
            self._dispatcher.forget_session(session_id)

    def _to_caller(self, message: Message, payload: Frames) -> None:
        if isinstance(message, Done | Failed):
            self._sessions.ended(message.id)
        if isinstance(message, Started):
            if message.interruptible == "signal":
                self._uninterruptible.add(message.id)
            else:
                self._uninterruptible.discard(message.id)
        else:
            self._caller.receive(message, payload)

    def _fail(self, call_id: str, error: LabError) -> None:
        self._caller.receive(Failed(call_id, error.to_dict()), ())

    async def request(self, method: str, **params: Any) -> Any:
        """``status`` and the orders about sessions: there is no host to order about."""
        orders: dict[str, Callable[..., Any]] = {
            "status": self._status,
            "session.open": self._sessions.open,
            "session.close": self._sessions.close,
        }
        if method not in orders:
            raise ProtocolError(f"The inline backend knows no order {method!r}.")
        return orders[method](**params)

    def _status(self) -> dict[str, Any]:
        return {"pid": os.getpid(), "in_flight": self._caller.in_flight, "pools": {}, "clients": []}

    def tell(self, spans: Sequence[Span], events: Sequence[Event], /) -> bool:
        return False  # this very process keeps them

    def statistics(self) -> BackendStatistics:
        succeeded, failed = self._caller.succeeded, self._caller.failed
        return BackendStatistics(
            self.name,
            is_open=self._dispatcher is not None,
            calls=self._count,
            succeeded=succeeded,
            failed=failed,
            in_flight=self._caller.in_flight,
        )

    async def aclose(self) -> None:
        self._caller.close()
        self._dispatcher = None
        main, self._main = self._main, None
        if main is not None:
            await asyncio.to_thread(main.close)

    def __repr__(self) -> str:
        state = "open" if self._dispatcher is not None else "closed"
        return f"<InlineBackend [{state}, calls under way: {self._caller.in_flight}]>"
