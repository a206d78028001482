"""Which notebook has which run, as far as they told; and how a run is cancelled from outside of its notebook.

The host runs no pipelines: it passes the wish on, as data, and the notebook does what it is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dspex_lab.errors import ConfigurationError
from dspex_lab.pool.broker import Outbox
from dspex_lab.pool.records import PeerRecord
from dspex_lab.wire.messages import RUN_CANCEL, Notice

__all__ = ["NotebookRuns"]

#: So many runs under way are remembered, and as many that are over; of each the ones that were told of last.
_MAX_RUNS = 10_000


class NotebookRuns:
    """The runs of the clients among ``peers``, whom ``outbox`` reaches."""

    def __init__(self, peers: Mapping[bytes, PeerRecord], outbox: Outbox) -> None:
        self._peers = peers
        self._outbox = outbox
        self._owners: dict[str, bytes] = {}
        #: Whose the runs are that are over.
        self._over: dict[str, bytes] = {}

    def heard(self, peer: bytes, events: Iterable[Mapping[str, Any]]) -> None:
        """A client told what happened in it. Any event of a run says whose it is: the beginning may have been told to
        the host before this one."""
        for event in events:
            told = event.get("attributes")
            run_id = told.get("run_id") if isinstance(told, Mapping) else None
            if not isinstance(run_id, str):
                continue
            is_end = event.get("name") == "run.end"
            runs, others = (self._over, self._owners) if is_end else (self._owners, self._over)
            others.pop(run_id, None)
            runs[run_id] = peer
            if len(runs) > _MAX_RUNS:
                del runs[next(iter(runs))]

    def left(self, peer: bytes) -> list[str]:
        """A client is gone; the runs that it leaves without an end."""
        self._over = {run_id: owner for run_id, owner in self._over.items() if owner != peer}
        lost = [run_id for run_id, owner in self._owners.items() if owner == peer]
        for run_id in lost:
            del self._owners[run_id]
        return lost

    def owner(self, run_id: str) -> str | None:
        """The name of the notebook that is known to have the run, whether it is over or not."""
        record = self._peers.get(self._owner(run_id))
        return None if record is None else record.name

    def asked(self, run_id: str) -> list[bytes]:
        """Who is to be asked about the run: the notebook that has it, or every one when none said so. Raises
        ``ConfigurationError`` when there is nobody to ask."""
        owner = self._owner(run_id)
        clients = [peer for peer, record in self._peers.items() if record.role == "client"]
        asked = [owner] if owner in clients else clients
        if not asked:
            raise ConfigurationError(
                f"The notebook that owns the run {run_id[:8]} has ended.",
                "run",
                hint=f'In another one lab.run("{run_id[:8]}").resume() continues it, if it is a pipeline\'s.',
            )
        return asked

    def cancel(self, run_id: str) -> list[str]:
        """Ask the notebook that has the run to cancel it, or every one when none said so; the names of those who were
        asked. How it ends, its events tell. Raises ``ConfigurationError`` when there is nobody to ask."""
        asked = self.asked(run_id)
        for peer in asked:
            self._outbox.send(peer, Notice(RUN_CANCEL, {"run_id": run_id}))
        return [self._peers[peer].name for peer in asked]

    def _owner(self, run_id: str) -> bytes:
        return self._owners.get(run_id) or self._over.get(run_id, b"")

    def __repr__(self) -> str:
        return f"<NotebookRuns [under way: {len(self._owners)}, over: {len(self._over)}]>"
