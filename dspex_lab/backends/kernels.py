"""The pool host as a place where calls run: found or started on demand, found again when it was lost.

The only file of a notebook's side that knows ZMQ. Everything lives on the lab's event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import zmq

from dspex_lab.backends.base import BackendStatistics
from dspex_lab.calls import Call, new_id
from dspex_lab.errors import Cancelled, HostUnavailable, LabError, error_from_dict
from dspex_lab.pool.processes.rendezvous import ConnectionFile, HostLock, find_host, start_host
from dspex_lab.settings import Settings
from dspex_lab.sockets import PolledSocket
from dspex_lab.telemetry import Event, Span
from dspex_lab.wire.caller import Caller, RemoteCall
from dspex_lab.wire.framing import Frames, pack, unpack_from_host
from dspex_lab.wire.messages import (
    PROTOCOL_VERSION,
    Goodbye,
    Hello,
    Message,
    Notice,
    Refused,
    Request,
    Telemetry,
    Welcome,
)
from dspex_lab.wire.segments import Segments

__all__ = ["KernelBackend"]

_REQUEST_TIMEOUT_S = 10.0
_POLL_S = 0.02
#: A host that was started and does not hold the lock after so long was one too many, or failed: try again.
_START_AGAIN_S = 5.0
#: The orders that a host's end fulfils.
_ENDINGS = frozenset({"session.close", "stop"})


class KernelBackend:
    """Calls on the worker kernels of the user's pool host.

    The first call (or :meth:`open`) connects, and starts a host when there is none; a call that comes while the
    connection is made waits for it, inside its own deadline. With the role "observer" it only looks: it starts no
    host, asks for no pools, and keeps no host alive. ``on_notice`` hears, on the loop, what the host says unasked.
    """

    name = "kernels"

    def __init__(
        self,
        settings: Settings,
        *,
        label: str = "notebook",
        role: str = "client",
        on_open: Callable[[], object] = lambda: None,
        on_notice: Callable[[Notice], object] = lambda _: None,
    ) -> None:
        """``on_open()`` is called when there is a host to talk to, again for each; ``on_notice`` with what a host tells
        its clients unasked."""
        self._on_open = on_open
        self._settings = settings
        self._label = label
        self._role = role
        self._on_notice = on_notice
        self._socket: PolledSocket | None = None
        self._caller = Caller(self._send)
        self._welcome: asyncio.Future[Welcome] | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._host_pidfd: int | None = None
        self._unsent: dict[asyncio.Task[None], RemoteCall] = {}
        self._is_closed = False
        self._count = 0

    # --- the connection ---------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect to the host, starting one if need be; ``HostUnavailable`` when that fails."""
        await self._connected()

    async def _connected(self) -> None:
        if self._socket is not None:
            return
        if self._is_closed:
            raise HostUnavailable("The lab is closed.", hint="Make a new Lab().", retryable=False)
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
            # Everybody who waits for it may be gone when it fails.
            self._connecting.add_done_callback(lambda task: task.cancelled() or task.exception())
        # Several calls may wait for one connection: one that gives up must not end it for the others.
        await asyncio.shield(self._connecting)

    async def _connect(self) -> None:
        limit_s = self._settings.host_start_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                # A host that ended just now: find or start another.
                while not await self._meet(await self._find_or_start()):  # noqa: ASYNC110 - of another process
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise HostUnavailable(
                f"No pool host answered within {limit_s:g} s.",
                hint=f"Its log is {self._settings.runtime_dir / 'host.log'}.",
            ) from error
        except OSError as error:
            raise HostUnavailable(f"The pool host cannot be reached: {error}.") from error

    async def _find_or_start(self) -> ConnectionFile:
        """The living host. One that is just leaving keeps the lock until it is gone, and only then another can come."""
        if self._role == "observer":
            return self._find()
        folder, loop = self._settings.private_runtime_dir(), asyncio.get_running_loop()
        start_at = loop.time()
        while (found := find_host(folder)) is None:
            if loop.time() >= start_at and not HostLock(folder).is_held():
                start_host(self._settings)
                start_at = loop.time() + _START_AGAIN_S
            await asyncio.sleep(_POLL_S)
        return found

    def _find(self) -> ConnectionFile:
        """The living host; an observer starts none."""
        found = find_host(self._settings.runtime_dir)
        if found is None:
            raise HostUnavailable("No pool host runs.", hint="The first call of a notebook starts one.")
        return found

    async def _meet(self, host: ConnectionFile) -> bool:
        """Connect to ``host`` and tell it the pools; False when it ended meanwhile."""
        try:
            await self._hello(host)
            specs = [spec.model_dump(mode="json") for spec in self._settings.pools]
            if self._role != "observer":
                await self._caller.request("pools.ensure", {"specs": specs}, timeout_s=_REQUEST_TIMEOUT_S)
        except HostUnavailable:
            return False
        except BaseException:
            self._disconnect()
            raise
        self._on_open()
        return True

    async def _hello(self, host: ConnectionFile) -> None:
        self._welcome = asyncio.get_running_loop().create_future()
        self._watch_host(host.pid)
        self._socket = PolledSocket(zmq.DEALER, self._receive)
        self._socket.connect(host.address)
        self._send(Hello(PROTOCOL_VERSION, host.key, self._role, self._label, os.getpid()), ())
        if not self._settings.record_prompts:
            # The host of another notebook may keep them. Said before any call, and needs no answer.
            self._send(Request(new_id(), "traces.hide"), ())
        await self._welcome

    def _watch_host(self, pid: int) -> None:
        """Be told at once when the host's process ends."""
        try:
            self._host_pidfd = os.pidfd_open(pid)
        except OSError as error:
            raise HostUnavailable("The pool host ended.") from error
        asyncio.get_running_loop().add_reader(self._host_pidfd, self._lose_host)

    def _lose_host(self) -> None:
        """The host is gone: what was under way ends now, and the next call finds or starts another."""
        self._disconnect()
        error = HostUnavailable(
            "The pool host ended while the call was under way.",
            hint="Call again: another host is started. %lab logs shows the old one's last words.",
        )
        self._caller.fail_all(error)
        self._caller.segments.sweep_host()
        if self._welcome is not None and not self._welcome.done():
            self._welcome.set_exception(error)

    def _disconnect(self) -> None:
        if self._host_pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._host_pidfd)
            os.close(self._host_pidfd)
            self._host_pidfd = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # --- messages ---------------------------------------------------------------------------------------------

    def _send(self, message: Message, payload: Frames) -> None:
        if self._socket is not None:
            self._socket.send(pack(message, payload))

    def _receive(self, frames: list[bytes]) -> None:
        message, payload = unpack_from_host(frames)
        match message:
            case Welcome():
                if self._welcome is not None and not self._welcome.done():
                    self._caller.segments = Segments(message.segment_prefix)
                    self._welcome.set_result(message)
            case Refused():
                self._refused(error_from_dict(message.error))
            case Notice():
                self._on_notice(message)
            case _:
                self._caller.receive(message, payload)

    def _refused(self, error: LabError) -> None:
        if self._welcome is not None and not self._welcome.done():
            self._welcome.set_exception(error)
        else:
            # Which message it was that the host does not take is not told; nothing may run on unheard.
            self._caller.give_up(error)

    # --- calls ------------------------------------------------------------------------------------------------

    def submit(self, call: Call) -> RemoteCall:
        self._count += 1
        if self._socket is not None and (self._connecting is None or self._connecting.done()):
            pending = self._caller.submit(call)
        else:
            pending = RemoteCall(call, self._caller)
            task = asyncio.create_task(self._submit_later(pending))
            self._unsent[task] = pending
            task.add_done_callback(lambda task: self._unsent.pop(task))
            pending.on_end(lambda: task.cancel())
        return pending

    async def _submit_later(self, pending: RemoteCall) -> None:
        try:
            await self._connected()
        except LabError as error:
            pending.finish(error)
            return
        self._caller.submit_pending(pending)

    async def request(self, method: str, **params: Any) -> Any:
        if method == "session.close" and self._socket is None:
            return None  # it ended with its host; none is started to hear of it
        for is_last in (False, True):
            await self._connected()
            asked = self._socket
            try:
                return await self._caller.request(method, params, timeout_s=_REQUEST_TIMEOUT_S)
            except HostUnavailable:
                # One that was just leaving is no answer: the next host is asked, unless the order was to end it.
                if is_last or self._socket is asked or self._is_closed:
                    raise
                if method in _ENDINGS:
                    return None
        raise AssertionError("the last try returns or raises")

    def tell(self, spans: Sequence[Span], events: Sequence[Event], /) -> bool:
        if self._socket is None or self.is_connecting():
            return False
        # Events are encoded as they are, field by field: a run's are many, and each copy would be the run's own time.
        self._send(Telemetry([span.to_dict() for span in spans], cast("list[dict[str, Any]]", list(events))), ())
        return True

    def is_connected(self) -> bool:
        """Whether a host is at the other end now."""
        return self._socket is not None

    def is_connecting(self) -> bool:
        """Whether a host is being found or started now."""
        return self._connecting is not None and not self._connecting.done()

    def host_folder(self) -> Path:
        """Where the host's connection file and logs are."""
        return self._settings.runtime_dir

    def statistics(self) -> BackendStatistics:
        succeeded, failed = self._caller.succeeded, self._caller.failed
        return BackendStatistics(
            self.name,
            is_open=self.is_connected(),
            calls=self._count,
            succeeded=succeeded,
            failed=failed,
            in_flight=self._count - succeeded - failed,
        )

    async def aclose(self) -> None:
        self._is_closed = True
        if self._connecting is not None and not self._connecting.done():
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError, LabError):
                await self._connecting
        for pending in self._unsent.values():
            pending.finish(Cancelled("The lab was closed before the call was sent."))
        self._caller.close()
        self._send(Goodbye(), ())
        self._disconnect()
        await asyncio.sleep(0)  # the ends are counted by now

    def __repr__(self) -> str:
        state = "connected" if self._socket is not None else "not connected"
        return f"<KernelBackend [{state}, calls under way: {self._caller.in_flight}]>"
