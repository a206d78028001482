"""Which calls are taken in, and what they are taken for: a decision over the records, which changes none of them.

``broker`` asks :meth:`Admission.admit`, and acts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from dspex_lab.errors import PoolSaturated, ProtocolError
from dspex_lab.pool.records import CallPhase, CallRecord, PeerRecord, PoolRecord
from dspex_lab.pool.sessions import SessionRecord, Sessions
from dspex_lab.pool.workforce import Workforce
from dspex_lab.wire.messages import Submit

__all__ = ["Admission"]

_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Admission:
    """The rules, over the broker's own records."""

    workforce: Workforce
    peers: Mapping[bytes, PeerRecord]
    calls: Mapping[str, CallRecord]
    sessions: Sessions

    def inherited(self, peer: bytes, submit: Submit) -> tuple[Submit, bytes]:
        """The call as urgent as the one that makes it, and whose it is: the notebook's at the root, however many calls
        are between them."""
        parent = self._parent(peer, submit)
        if parent is None:
            return submit, peer
        if submit.priority < parent.submit.priority:
            submit = msgspec.structs.replace(submit, priority=parent.submit.priority)
        return submit, parent.owner

    def admit(self, peer: bytes, submit: Submit, size_bytes: int) -> SessionRecord | None:
        """The call's session, if it names one; raises what is wrong with the call."""
        pool = self.workforce.pool(submit.pool)
        worker = self.peers[peer].worker
        if worker is not None and self.workforce.pools[worker.pool].spec.sandbox == "on":
            raise ProtocolError("Out of a sandbox no calls are made.", hint='Use a pool with sandbox="off".')
        if submit.id in self.calls:
            raise ProtocolError("A call with this id is under way.")
        if (refusal := self.workforce.refusal(pool)) is not None:
            raise refusal
        session = None if submit.session is None else self.sessions.find(submit.session, peer)
        if session is not None and session.pool != submit.pool:
            raise ProtocolError(f"The session is of the pool {session.pool!r}, not of {submit.pool!r}.")
        self._check_room(pool, submit, session, size_bytes)
        if worker is not None and session is None:
            self._check_places(pool, peer, submit)
        return session

    @staticmethod
    def _check_room(pool: PoolRecord, submit: Submit, session: SessionRecord | None, size_bytes: int) -> None:
        spec = pool.spec
        if (waiting := pool.waiting_in_line(submit, session)) >= spec.queue_limit:
            raise PoolSaturated(
                f"The pool {spec.name!r} has {waiting} calls waiting, its limit.",
                hint="Wait for results before sending more, or raise the pool's size or queue_limit.",
            )
        # One call alone may be as large as it is.
        if pool.held_bytes and pool.held_bytes + size_bytes > spec.queue_limit_mb * _MB:
            raise PoolSaturated(
                f"The arguments of the pool {spec.name!r}'s calls have {pool.held_bytes // _MB} MB, near its limit of "
                f"{spec.queue_limit_mb}.",
                hint="Wait for results before sending more, or raise the pool's queue_limit_mb.",
            )

    def _check_places(self, pool: PoolRecord, peer: bytes, submit: Submit) -> None:
        """A call ends with the one that makes it. Where those that make it have every place, it could never run."""
        if submit.detached:
            return
        spec = pool.spec
        each = spec.light_concurrency if submit.light else spec.concurrency
        places = spec.size * each
        for one in self._ancestors(peer, submit):
            if one.submit.pool == spec.name and one.phase is not CallPhase.QUEUED:
                places -= each if one.session is not None else one.submit.light == submit.light
        if places <= 0:
            raise PoolSaturated(
                f"{submit.op} could never run: the calls that make it have every place of the pool {spec.name!r}.",
                hint="Give it another pool, or this one a larger size.",
                retryable=False,
            )

    def _ancestors(self, peer: bytes, submit: Submit) -> Iterator[CallRecord]:
        """The call that makes this one, the call that makes that one, and so on."""
        parent = self._parent(peer, submit)
        while parent is not None:
            yield parent
            parent = self._parent(parent.caller, parent.submit)

    def _parent(self, peer: bytes, submit: Submit) -> CallRecord | None:
        """The call that makes this one, if that is one which the peer, a worker, has in hand."""
        if submit.parent is None:
            return None
        parent, record = self.calls.get(submit.parent), self.peers.get(peer)
        worker = None if record is None else record.worker
        if parent is None or worker is None or parent.worker_id != worker.id:
            return None
        return parent
