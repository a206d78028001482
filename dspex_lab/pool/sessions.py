"""Sessions: workers that were checked out, and the calls that wait for theirs.

A session has at most one worker, which serves it alone: one call at a time, in the order in which they came. The
worker is found when the first call comes and goes when the session ends, for the session's state lives in it. Records
and rules only; ``broker`` acts on them, and so does the inline backend, which has no broker.
"""

from __future__ import annotations

import math
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dspex_lab.errors import ConfigurationError, SessionLost
from dspex_lab.pool.waiting import WaitingCalls

__all__ = ["SessionRecord", "Sessions", "session_lost"]

#: Of so many sessions the host still knows why they ended.
_REMEMBERED = 1_000


@dataclass(slots=True, eq=False)
class SessionRecord:
    """One session. ``last_used`` is the host's monotonic time of its opening, of its last call, or of that call's
    end; a session without calls ends ``idle_expiry_s`` after it."""

    id: str
    owner: bytes
    pool: str
    idle_expiry_s: float
    last_used: float
    worker_id: str | None = None
    #: Every call that it made and that has not ended, and those of them that wait.
    calls: set[str] = field(default_factory=set)
    line: WaitingCalls = field(default_factory=WaitingCalls)

    def needs_worker(self) -> bool:
        """Whether it waits for a worker to be checked out."""
        return self.worker_id is None and bool(self.line)

    def has_expired(self, now: float) -> bool:
        """Whether it was left alone for too long."""
        return not self.calls and now - self.last_used >= self.idle_expiry_s

    def expiry_reason(self) -> str:
        """What is told to who calls after the expiry."""
        return f"it had no call for {self.idle_expiry_s:g} s"

    def statistics(self, now: float) -> dict[str, Any]:
        """The session as plain data."""
        return {
            "id": self.id,
            "worker": self.worker_id,
            "in_flight": len(self.calls) - len(self.line),
            "waiting": len(self.line),
            "idle_s": 0.0 if self.calls else now - self.last_used,
            "idle_expiry_s": self.idle_expiry_s,
        }


class Sessions:
    """Every session that is open, and why the latest of the others ended."""

    def __init__(self) -> None:
        self._open: dict[str, SessionRecord] = {}
        self._ended: OrderedDict[str, tuple[bytes, str]] = OrderedDict()

    def open(self, owner: bytes, pool: str, *, idle_expiry_s: Any, now: float) -> SessionRecord:
        """A session of ``owner``, without a worker yet. ``ConfigurationError`` for an expiry that is no time."""
        is_number = isinstance(idle_expiry_s, int | float) and not isinstance(idle_expiry_s, bool)
        if not is_number or not 0 < idle_expiry_s < math.inf:
            raise ConfigurationError(
                "A session's idle_expiry_s is a number of seconds above 0.",
                "idle_expiry_s",
                "seconds above 0",
                repr(idle_expiry_s),
                hint="For example 600: ten minutes.",
            )
        session = SessionRecord(secrets.token_hex(8), owner, pool, float(idle_expiry_s), now)
        self._open[session.id] = session
        return session

    def find(self, session_id: str, owner: bytes) -> SessionRecord:
        """The open session of that id and owner; ``SessionLost`` says why there is none."""
        session = self._open.get(session_id)
        if session is not None and session.owner == owner:
            return session
        ended_owner, reason = self._ended.get(session_id, (owner, "the host does not know it"))
        raise session_lost(reason if ended_owner == owner else "the host does not know it")

    def end(self, session: SessionRecord, reason: str) -> bool:
        """Forget the session and remember why; False when it had ended before."""
        if self._open.pop(session.id, None) is None:
            return False
        self._ended[session.id] = (session.owner, reason)
        if len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
        return True

    def of(self, owner: bytes) -> tuple[SessionRecord, ...]:
        """The open sessions of ``owner``."""
        return tuple(session for session in self._open.values() if session.owner == owner)

    def __iter__(self) -> Iterator[SessionRecord]:
        return iter(tuple(self._open.values()))

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, session: object) -> bool:
        return isinstance(session, SessionRecord) and self._open.get(session.id) is session

    def __repr__(self) -> str:
        return f"<Sessions [open: {len(self._open)}]>"


def session_lost(reason: str) -> SessionLost:
    """The error of every call to a session that ended because ``reason``."""
    return SessionLost(
        f"The session is gone: {reason}.", hint="Its state went with it: open another with lab.session()."
    )
