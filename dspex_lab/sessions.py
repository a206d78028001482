"""Sessions as the user holds them: a worker of one's own, with state that is kept there from call to call.

Asynchronous inside, on the lab's event loop; :meth:`Session.call` and the rest are thin adapters over the portal. What
a session is on the other side, and when it ends there, is the business of the backend.
"""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self, TypeVar

from dspex_lab.backends.base import Backend, PendingCall
from dspex_lab.calls import Call, Code, TraceContext
from dspex_lab.errors import HostUnavailable, LabError, SessionLost
from dspex_lab.portal import Portal
from dspex_lab.telemetry.spans import current_trace

__all__ = ["Session", "SessionStatistics"]

T = TypeVar("T")

_HINT = "Its state went with it: open another with lab.session()."


@dataclass(frozen=True, slots=True)
class SessionStatistics:
    """What a session did. ``worker`` is "" before its first result; calls = succeeded + failed + in_flight."""

    id: str
    pool: str
    is_open: bool
    worker: str = ""
    calls: int = 0
    succeeded: int = 0
    failed: int = 0
    in_flight: int = 0


class Session:
    """A worker that serves nobody else, from the first call until the session ends.

    Its calls run one after another. A function that takes a parameter called ``state`` is given a dict that stays in
    the worker between the calls, and may hold anything: a model, a connection, a dataset. The session ends, and the
    state with it, with :meth:`close`, with its worker's death, with the notebook, and after ``idle_expiry_s`` without a
    call; every call after that is ``SessionLost``. Close it, or use it with ``with`` or ``async with``.
    """

    def __init__(
        self,
        backend: Backend,
        portal: Portal,
        *,
        pool: str = "general",
        idle_expiry_s: float = 600.0,
        timeout_s: float | None = None,
        place: Callable[[], TraceContext | None] = current_trace,
    ) -> None:
        """``place`` says what a call that is made now hangs under in its trace."""
        self._place = place
        self.pool = pool
        self.idle_expiry_s = idle_expiry_s
        self.timeout_s = timeout_s
        self._backend = backend
        self._portal = portal
        self._id = ""
        self._opening = asyncio.Lock()
        #: What every call from now on raises; None while it is of use.
        self._end: SessionLost | None = None
        self._is_closed = False
        self._worker = ""
        self._counts = {"calls": 0, "succeeded": 0, "failed": 0}

    # --- calls ------------------------------------------------------------------------------------------------

    def call(self, function: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Any:
        """``function(*args, **kwargs)`` in the session's worker, and its value; an interrupt cancels it.

        ``function`` travels by value, or is a dotted name. It is given the session's state if it takes a parameter
        called ``state``, which is not counted among ``args``. Raises what the function raises as ``PythonError``,
        ``SessionLost``, and ``DeadlineExceeded`` after the session's ``timeout_s``.
        """
        return self._on_portal(self._call, function, args, kwargs)

    async def acall(self, function: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Any:
        """The same on an event loop; cancelling the task cancels the call."""
        return await self._on_loop(self._call, function, args, kwargs)

    def submit(self, function: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The same without waiting: a future whose ``result(timeout)`` is the value, and which can be cancelled."""
        self._check_lab()
        return self._portal.start(self._call, function, args, kwargs)

    def stream(self, function: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Iterator[str]:
        """The texts that ``function``, a generator (plain or asynchronous), yields, as they come; one of more than
        65,536 characters comes in several pieces. Who reads slowly slows it down, and who stops reading ends it; its
        other values are left out. Raises what :meth:`call` does."""
        pieces = self._pieces(function, args, kwargs)
        try:
            while (piece := self._on_portal(_next, pieces)) is not None:
                yield piece
        finally:
            if not self._portal.is_closed:
                self._portal.run(pieces.aclose)

    async def astream(self, function: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> AsyncIterator[str]:
        """The same on an event loop."""
        pieces = self._pieces(function, args, kwargs)
        try:
            while (piece := await self._on_loop(_next, pieces)) is not None:
                yield piece
        finally:
            if not self._portal.is_closed:
                await self._on_loop(pieces.aclose)

    @property
    def state(self) -> Mapping[str, Any]:
        """A copy of the state's plain data; what cannot travel stays where it is and is left out. Waits for the calls
        before it."""
        return self._on_portal(self._state)

    async def astate(self) -> Mapping[str, Any]:
        """The same on an event loop."""
        return await self._on_loop(self._state)

    async def _call(self, function: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return await self._run("python.call", _arguments(function, args, kwargs))

    async def _pieces(
        self, function: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> AsyncGenerator[str, None]:
        await self._opened()
        with self._counted():
            pending = self._submit("python.call", _arguments(function, args, kwargs), stream=True)
            try:
                async for chunk in pending:
                    yield chunk.text
                self._worker = (await pending.result()).worker
            finally:
                pending.cancel()  # of one that ended it changes nothing

    async def _state(self) -> Mapping[str, Any]:
        return MappingProxyType(await self._run("session.state", {}))

    async def _run(self, op: str, args: Mapping[str, Any]) -> Any:
        await self._opened()
        with self._counted():
            result = await self._submit(op, args).result()
        self._worker = result.worker
        return result.value

    def _submit(self, op: str, args: Mapping[str, Any], *, stream: bool = False) -> PendingCall:
        return self._backend.submit(
            Call(
                op,
                args,
                pool=self.pool,
                session=self._id,
                timeout_s=self.timeout_s,
                stream=stream,
                trace=self._place(),
            )
        )

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Count the call that the block makes, and know what its end says of the session."""
        self._counts["calls"] += 1
        try:
            yield
        except BaseException as error:
            self._counts["failed"] += 1
            if isinstance(error, HostUnavailable):
                self._end = SessionLost("The session is gone: its host ended.", hint=_HINT)
                raise self._end from error
            if isinstance(error, SessionLost):
                self._end = self._end or error
            raise
        self._counts["succeeded"] += 1

    def _on_portal(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        self._check_lab()
        return self._portal.run(function, *args)

    async def _on_loop(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        self._check_lab()
        if asyncio.get_running_loop() is self._portal.loop:  # as in a step of a pipeline
            return await function(*args)
        return await asyncio.wrap_future(self._portal.start(function, *args))

    def _check_lab(self) -> None:
        if self._portal.is_closed:
            raise SessionLost("The session is gone: its lab was closed.", hint=_HINT)

    # --- beginning and end ------------------------------------------------------------------------------------

    async def _opened(self) -> None:
        """Open it on the other side, when that was not done before."""
        async with self._opening:
            if self._end is not None:
                raise SessionLost(self._end.message, hint=self._end.hint)  # a new one: each has its own traceback
            if not self._id:
                params = {"pool": self.pool, "idle_expiry_s": self.idle_expiry_s}
                self._id = await self._backend.request("session.open", **params)

    def close(self) -> None:
        """End the session, its calls with ``SessionLost``, and its state. Safe to call twice."""
        if not self._is_over():
            self._portal.run(self._close)

    async def aclose(self) -> None:
        """The same on an event loop."""
        if not self._is_over():
            await self._on_loop(self._close)

    def _is_over(self) -> bool:
        """Whether nothing is left to close: the host let go of the sessions of a lab that was closed."""
        return self._is_closed or self._portal.is_closed

    async def _close(self) -> None:
        self._is_closed = True
        was_open, self._end = self._end is None, self._end or SessionLost("The session is closed.", hint=_HINT)
        if was_open and self._id:
            await _close_quietly(self._backend, self._id)

    def __enter__(self) -> Self:
        self._on_portal(self._opened)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await self._on_loop(self._opened)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if self._state_name() != "open":
            return
        # On whatever thread this is, and maybe in the middle of anything: nothing here waits.
        with contextlib.suppress(RuntimeError):
            self._portal.loop.call_soon_threadsafe(_close_later, self._backend, self._id)
        warnings.warn(f"{self!r} was not closed.", ResourceWarning, stacklevel=2, source=self)

    # --- what it tells of itself ------------------------------------------------------------------------------

    def statistics(self) -> SessionStatistics:
        in_flight = self._counts["calls"] - self._counts["succeeded"] - self._counts["failed"]
        is_open = self._state_name() == "open"
        return SessionStatistics(self._id, self.pool, is_open, self._worker, in_flight=in_flight, **self._counts)

    def __repr__(self) -> str:
        worker = f", worker: {self._worker}" if self._worker else ""
        return f"<Session [{self._state_name()}, pool: {self.pool}{worker}, calls: {self._counts['calls']}]>"

    def _state_name(self) -> str:
        if self._is_over():
            return "closed"
        if self._end is not None:
            return "lost"
        return "open" if self._id else "new"


def _arguments(function: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    target = function if isinstance(function, str) else Code(function)
    return {"function": target, "args": list(args), "kwargs": kwargs}


async def _next(pieces: AsyncIterator[str]) -> str | None:
    """The next piece; None at the end, for StopAsyncIteration does not cross threads."""
    return await anext(pieces, None)


def _close_later(backend: Backend, session_id: str) -> None:
    asyncio.ensure_future(_close_quietly(backend, session_id))  # noqa: RUF006 - the backend keeps it: its request waits


async def _close_quietly(backend: Backend, session_id: str) -> None:
    """A session whose host is gone is closed."""
    with contextlib.suppress(LabError):
        await backend.request("session.close", session=session_id)
