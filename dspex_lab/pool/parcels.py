"""Large values on their way through the host, which owns their names and never their bytes.

Who may name which segment, whose a segment becomes, and what is swept when somebody is gone. Knows the broker's
records and no socket.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from dspex_lab.errors import LabError, ProtocolError
from dspex_lab.pool.broker import Broker
from dspex_lab.wire.framing import Frames
from dspex_lab.wire.messages import Done, Message, Run, Segment, Submit
from dspex_lab.wire.segments import SHARED_MEMORY, Segments, belong_to, hand_over, prefix_of, realm_of, sweep

__all__ = ["Parcels"]


class Parcels:
    """The segments of one host's peers."""

    def __init__(self, host_id: str, broker: Broker, *, folder: Path = SHARED_MEMORY) -> None:
        self._host_id = host_id
        self._broker = broker
        self._own = Segments(prefix_of(host_id, "host"), folder=folder)
        self._folder = folder

    def prefix(self, peer: bytes) -> str:
        """What the names of a peer's segments begin with. A worker's id has a hyphen in it, a client's never."""
        worker = self._broker.peers[peer].worker
        return prefix_of(self._host_id, worker.id if worker else peer.hex())

    def check(self, peer: bytes, segments: Sequence[Segment]) -> None:
        """A :class:`ProtocolError` unless ``peer`` may have made every one of ``segments``."""
        if segments and not belong_to(self.prefix(peer), segments):
            raise ProtocolError("A segment that is not its sender's came in.")

    def submit(self, peer: bytes, message: Submit, payload: Frames) -> None:
        """Hand the call to the broker. What a detached one is given becomes the host's: its notebook may leave before
        it runs."""
        self.check(peer, message.segments)
        if not (message.detached and message.segments):
            self._broker.submit(peer, message, payload)
            return
        segments = hand_over(message.segments, prefix_of(self._host_id, "host"), folder=self._folder)
        self._broker.submit(peer, msgspec.structs.replace(message, segments=segments), payload)
        call = self._broker.calls.get(message.id)
        if call is None or call.submit.segments != segments:  # it was not taken in
            self.drop(segments)

    def outgoing(self, peer: bytes, message: Message, payload: Frames) -> tuple[Message, Frames]:
        """``message`` as ``peer`` gets it: a value is its reader's from now on; a sandbox, which sees no shared
        memory, gets frames. Of a value whose reader has left nothing stays."""
        if isinstance(message, Done) and message.segments and peer not in self._broker.peers:
            self.drop(message.segments)
            return msgspec.structs.replace(message, segments=()), payload
        if isinstance(message, Done) and message.segments:
            segments = hand_over(message.segments, self.prefix(peer), folder=self._folder)
            return msgspec.structs.replace(message, segments=segments), payload
        if isinstance(message, Run) and message.segments and self._is_sandbox(peer):
            with contextlib.suppress(LabError):  # they are gone, as the worker will say
                payload = self._own.restore(payload, message.segments)
                return msgspec.structs.replace(message, segments=()), payload
        return message, payload

    def _is_sandbox(self, peer: bytes) -> bool:
        worker = self._broker.peers[peer].worker
        return worker is not None and self._broker.workforce.pools[worker.pool].spec.sandbox == "on"

    def drop(self, segments: Sequence[Segment]) -> None:
        """Nobody gets this value."""
        self._own.remove(segments)

    def forget_worker(self, worker_id: str) -> None:
        """Its process is gone: so is what it did not get out."""
        self.sweep(prefix_of(self._host_id, worker_id))

    def sweep(self, prefix: str) -> None:
        """The owner of ``prefix`` is gone."""
        sweep(prefix, folder=self._folder)

    def forget_all(self) -> None:
        """The host leaves."""
        self.sweep(realm_of(self._host_id))
