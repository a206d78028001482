"""Whose traces keep no prompts and answers on a host where others' do. Bookkeeping only; knows nothing of stores."""

from __future__ import annotations

from dspex_lab.telemetry import Span

__all__ = ["Privacy"]

#: Traces are long over when so many others have begun.
_MAX_TRACES = 10_000


class Privacy:
    """Peers that want it so, and the traces that their calls are in."""

    def __init__(self) -> None:
        self._peers: set[bytes] = set()
        self._traces: dict[str, None] = {}

    def add(self, peer: bytes) -> None:
        """What ``peer`` begins from now on is private."""
        self._peers.add(peer)

    def forget(self, peer: bytes) -> None:
        """The peer left; what it did stays private."""
        self._peers.discard(peer)

    def begun(self, owner: bytes, trace_id: str) -> None:
        """A call of ``owner`` is in the trace."""
        if owner in self._peers and trace_id not in self._traces:
            if len(self._traces) >= _MAX_TRACES:
                del self._traces[next(iter(self._traces))]
            self._traces[trace_id] = None

    def is_private(self, span: Span) -> bool:
        """Whether the span is of such a trace."""
        return span.trace_id in self._traces

    def __repr__(self) -> str:
        return f"<Privacy [peers: {len(self._peers)}, traces: {len(self._traces)}]>"
