"""The one Protocol of every place where a call can run, and the handle that it gives for a call under way.

Implementations: ``inline`` (this process) and ``kernels`` (the pool host). All pass
``tests/contracts/test_backend.py``. Everything here lives on one event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from dspex_lab.calls import Call, Chunk, Result
from dspex_lab.telemetry import Event, Span

__all__ = ["Backend", "BackendStatistics", "PendingCall"]


@dataclass(frozen=True, slots=True)
class BackendStatistics:
    """What a backend did since it was opened."""

    name: str
    is_open: bool
    calls: int = 0
    succeeded: int = 0
    failed: int = 0
    in_flight: int = 0


@runtime_checkable
class PendingCall(Protocol):
    """A call under way. Iterate it for its chunks (at most once), await :meth:`result` for its end."""

    @property
    def call(self) -> Call: ...

    def __aiter__(self) -> AsyncIterator[Chunk]:
        """The chunks as they come; ends when the call ends. Raises nothing: :meth:`result` does. Leaving before the
        end (``break``, an error, being cancelled) cancels the call, unless :meth:`result` is asked for at once."""
        ...

    async def result(self) -> Result:
        """Wait for the end: the result, or the error (a ``LabError``). Unread chunks are dropped. Being cancelled
        while waiting cancels the call."""
        ...

    def cancel(self) -> None:
        """Ask for the call to be stopped; :meth:`result` then raises ``Cancelled`` within a second."""
        ...


class Backend(Protocol):
    """A place where a call can run."""

    @property
    def name(self) -> str: ...

    async def open(self) -> None:
        """Get ready; called once, by ``lab``. Raises ``HostUnavailable`` when there is no getting ready."""
        ...

    def submit(self, call: Call) -> PendingCall:
        """Begin ``call``. Returns at once; whatever goes wrong is told by the handle."""
        ...

    async def request(self, method: str, **params: Any) -> Any:
        """Ask the place itself: ``status``, ``stop``, ``session.open(pool, idle_expiry_s)`` (the value is the id for
        ``Call.session``), ``session.close(session)``, ... The value is plain data."""
        ...

    def tell(self, spans: Sequence[Span], events: Sequence[Event], /) -> bool:
        """Hand over what this process did, for who keeps traces. False: nobody is there now to hear it, and nobody is
        started for it."""
        ...

    def statistics(self) -> BackendStatistics: ...

    async def aclose(self) -> None:
        """End every call under way with ``Cancelled``, then let go of everything. Safe to call twice."""
        ...
