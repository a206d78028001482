"""Sessions in this very process: one call of each at a time, in order, on the one dispatcher that there is.

The rules are the pool's (``dspex_lab.pool.sessions``); what is missing is a worker of one's own. Lives on the backend's
event loop; expiry is looked at when somebody asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from dspex_lab.errors import LabError
from dspex_lab.pool.sessions import SessionRecord, Sessions, session_lost
from dspex_lab.wire.framing import Frames
from dspex_lab.wire.messages import Run

__all__ = ["InlineSessions"]

#: Whoever calls this backend is one and the same.
_OWNER = b""


class InlineSessions:
    """``start(run, payload)`` hands a call to the dispatcher, ``stop(call_id, error)`` ends it with ``error``, and
    ``forget(session_id)`` lets go of the state."""

    def __init__(
        self,
        start: Callable[[Run, Frames], None],
        stop: Callable[[str, LabError], None],
        forget: Callable[[str], None],
    ) -> None:
        self._start = start
        self._stop = stop
        self._forget = forget
        self._sessions = Sessions()
        self._running: dict[str, SessionRecord] = {}
        self._waiting: dict[str, tuple[SessionRecord, Run, Frames]] = {}

    def open(self, pool: str, idle_expiry_s: float) -> str:
        """A new session's id. Raises ``ConfigurationError``."""
        return self._sessions.open(_OWNER, pool, idle_expiry_s=idle_expiry_s, now=time.monotonic()).id

    def close(self, session: str) -> None:
        """End the session, and its calls with ``SessionLost``; one that is not open is no error."""
        for record in self._sessions:
            if record.id == session:
                self._end(record, "it was closed")

    def submit(self, session_id: str, run: Run, payload: Frames) -> None:
        """Run the call when those before it have ended. Raises ``SessionLost``."""
        now = time.monotonic()
        for overdue in [session for session in self._sessions if session.has_expired(now)]:
            self._end(overdue, overdue.expiry_reason())
        session = self._sessions.find(session_id, _OWNER)
        session.calls.add(run.id)
        session.line.add(run.id, _OWNER)
        self._waiting[run.id] = (session, run, payload)
        self._serve(session)

    def drop(self, call_id: str) -> bool:
        """Take a call that did not begin out of its line; False when there is none."""
        session, *_ = self._waiting.pop(call_id, (None,))
        if session is None:
            return False
        session.line.remove(call_id)
        session.calls.discard(call_id)
        return True

    def ended(self, call_id: str) -> None:
        """The dispatcher is done with the call, if it was a session's: the next may begin."""
        session = self._running.pop(call_id, None)
        if session is None:
            return
        session.calls.discard(call_id)
        session.last_used = time.monotonic()
        self._serve(session)

    def _serve(self, session: SessionRecord) -> None:
        if session.line and session not in self._running.values():
            _, run, payload = self._waiting.pop(session.line.take())
            self._running[run.id] = session
            self._start(run, payload)

    def _end(self, session: SessionRecord, reason: str) -> None:
        self._sessions.end(session, reason)
        for call_id in list(session.calls):
            self.drop(call_id)
            self._stop(call_id, session_lost(reason))
        self._forget(session.id)

    def __repr__(self) -> str:
        return f"<InlineSessions [open: {len(self._sessions)}, calls: {len(self._running) + len(self._waiting)}]>"
