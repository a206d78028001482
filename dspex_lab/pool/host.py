"""The host: one process per user that owns the pools; here its pieces meet its socket and its clock.

The only file of the room that knows ZMQ. It takes peers in when they show the key, passes their messages to the
broker, watches over the processes of its clients, looks after health, and leaves when nobody needs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from pathlib import Path
from typing import Any

import zmq

from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import Cancelled, HostUnavailable, LabError, ProtocolError, WorkerLost
from dspex_lab.folders import remove_tree
from dspex_lab.pool.broker import Broker
from dspex_lab.pool.busy import excuse_busy
from dspex_lab.pool.health import HealthLimits, enforce, examine, excuse
from dspex_lab.pool.job_files import JobFiles
from dspex_lab.pool.jobs import JobBook
from dspex_lab.pool.ledger import open_ledger
from dspex_lab.pool.notebook_runs import NotebookRuns
from dspex_lab.pool.orders import Orders
from dspex_lab.pool.parcels import Parcels
from dspex_lab.pool.processes.gpu_usage import read_gpu_usage
from dspex_lab.pool.processes.lifecycle import KernelLifecycle
from dspex_lab.pool.processes.rendezvous import LOG, ConnectionFile
from dspex_lab.pool.records import CallRecord
from dspex_lab.pool.run_orders import RunOrders
from dspex_lab.pool.workforce import Workforce
from dspex_lab.settings import Settings
from dspex_lab.sockets import PolledSocket
from dspex_lab.wire.framing import Frames, pack, unpack_from_peer
from dspex_lab.wire.messages import (
    PROTOCOL_VERSION,
    Cancel,
    ChunkOut,
    Credit,
    Done,
    Failed,
    FromPeer,
    Goodbye,
    Heartbeat,
    Hello,
    Message,
    Refused,
    Reply,
    Request,
    Started,
    Submit,
    Telemetry,
    Welcome,
)

__all__ = ["Host"]

log = logging.getLogger(__name__)

_TICK_S = 0.1
_GPU_S = 2.0
#: So long between two ticks, and the host itself did not run.
_AWAY_S = 1.0


class Host:
    """Everything of one host. ``run`` serves until :meth:`stop`, or until it idled for ``settings.idle_exit_s``."""

    def __init__(self, settings: Settings, connection: ConnectionFile, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self.connection = connection
        self.folder = settings.runtime_dir / connection.host_id
        self._clock = clock or SystemClock()
        self._stopping = asyncio.Event()
        self._is_leaving = False
        self._needed_at = self._clock.monotonic()
        self._pidfds: dict[bytes, int] = {}
        self._trouble = ""
        self._answering: set[asyncio.Future[None]] = set()

    async def run(self) -> None:
        self.folder.mkdir(mode=0o700)
        self._socket = PolledSocket(zmq.ROUTER, self._receive)
        self.kernels = KernelLifecycle(self.folder, self.connection, self.settings, self._worker_exited)
        self.workforce = Workforce(self.settings.pools, self.kernels, self._clock)
        self.ledger = open_ledger(self.settings, self._clock)
        self.jobs = JobBook(self._clock, JobFiles(self.settings.jobs_dir))
        self.broker = Broker(self.workforce, self, self._clock, on_begin=self._call_begun, on_end=self._call_ended)
        self.runs = NotebookRuns(self.broker.peers, self)
        self._run_orders = RunOrders(self.runs, self)
        self._parcels = Parcels(self.connection.host_id, self.broker)
        self._orders = Orders(
            self.connection.host_id,
            self._clock.monotonic(),
            self.broker,
            self.jobs,
            self.runs,
            self._run_orders,
            self.kernels,
            self.ledger,
            self._clock,
            self.log_files,
            self.stop,
        )
        try:
            self._socket.bind(self.connection.address)
            await self.kernels.open()
            self.connection.write(self.settings.runtime_dir)
            log.info("Host %s serves on %s.", self.connection.host_id, self.connection.address)
            await self._watch()
        finally:
            await self._close()

    def stop(self) -> None:
        """Leave: every worker ends, every call under way with it. From here on nobody is taken in or answered."""
        self._is_leaving = True
        self._stopping.set()

    async def _watch(self) -> None:
        limits = HealthLimits(self.settings.worker_start_timeout_s, self.settings.worker_silence_s)
        beside = [asyncio.create_task(self.ledger.serve()), asyncio.create_task(self._look_at_gpus())]
        try:
            await self._tick(limits)
        finally:
            for task in beside:
                task.cancel()

    async def _look_at_gpus(self) -> None:
        """Ask the driver what is in use, while a worker may use it."""
        while True:
            if self.workforce.has_gpu_workers():
                self.workforce.gpu_usage = await asyncio.to_thread(read_gpu_usage)
            await asyncio.sleep(_GPU_S)

    async def _tick(self, limits: HealthLimits) -> None:
        now = self._clock.monotonic()
        while not self._stopping.is_set():
            before = now
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._stopping.wait()
            now = self._clock.monotonic()
            pools = tuple(self.workforce.pools.values())
            if (away_s := now - before - _TICK_S) > _AWAY_S:
                log.warning("The host was away for %.1f s.", away_s)
                excuse(pools, away_s)
            self._attempt(excuse_busy, pools, now, limits.worker_silence_s)
            self._attempt(self._enforce, now, limits)
            for pool in pools:
                self._attempt(self.broker.balance, pool)
            self.workforce.forget_removed()
            self._attempt(self.kernels.sweep)
            if self.broker.calls or any(peer.role == "client" for peer in self.broker.peers.values()):
                self._needed_at = now
            elif now - self._needed_at >= self.settings.idle_exit_s:
                log.info("Nobody needed the host for %g s; it leaves.", self.settings.idle_exit_s)
                return

    def _enforce(self, now: float, limits: HealthLimits) -> None:
        enforce(self.broker, examine(self.broker.calls.values(), self.workforce.pools.values(), now, limits))

    def _attempt(self, work: Callable[..., object], *args: object) -> None:
        """What fails now (a system without descriptors, without memory) is no reason to end: the next tick tries again.
        Said once, until something else fails."""
        try:
            work(*args)
        except Exception as error:
            if (text := f"{type(error).__name__}: {error}") != self._trouble:
                log.exception("The host could not do all that was due; it goes on.")
                self._trouble = text

    async def _close(self) -> None:
        self._is_leaving = True
        self.connection.remove(self.settings.runtime_dir)
        for peer in list(self._pidfds):
            self._unwatch(peer)
        await self.kernels.aclose()
        self._socket.close()
        await self.ledger.aclose()
        self._parcels.forget_all()
        await asyncio.to_thread(remove_tree, self.folder)

    # --- messages ---------------------------------------------------------------------------------------------

    def send(self, peer: bytes, message: Message, payload: Frames = ()) -> None:
        self._socket.send([peer, *pack(*self._parcels.outgoing(peer, message, payload))])

    def _receive(self, frames: Sequence[bytes]) -> None:
        if self._is_leaving:
            return  # who calls now must not be kept by a host that goes: its end sends them to the next one
        peer, *rest = frames
        try:
            message, payload = unpack_from_peer(rest)
            if isinstance(message, Hello):
                self._greet(peer, message)
            elif peer in self.broker.peers:
                self._handle(peer, message, payload)
            else:
                self.send(peer, Refused(ProtocolError("Say hello first.").to_dict()))
        except LabError as error:
            self._refuse(peer, error)
        except Exception:
            # A fault of the host's own: whoever made the call must not wait for ever because of it.
            log.exception("A message could not be handled.")
            self._answer_fault(peer, rest)

    def _refuse(self, peer: bytes, error: LabError) -> None:
        """A worker that is not understood is of no use: it is ended, and its calls say why."""
        self.send(peer, Refused(error.to_dict()))
        record = self.broker.peers.get(peer)
        if record is not None and record.worker is not None:
            worker = record.worker
            reason = f"The worker {worker.id} broke the protocol and was ended: {error.message}"
            self.workforce.kill(worker, WorkerLost(reason, hint="%lab logs shows its last words."))

    def _answer_fault(self, peer: bytes, frames: Sequence[bytes]) -> None:
        message, _ = unpack_from_peer(frames)
        error = HostUnavailable(
            "The pool host failed to handle the call.", hint="%lab logs says why.", retryable=False
        ).to_dict()
        match message:
            case Submit():
                self.send(peer, Failed(message.id, error))
            case Request():
                self.send(peer, Reply(message.id, error=error))

    def _greet(self, peer: bytes, hello: Hello) -> None:
        if not hmac.compare_digest(hello.key.encode(), self.connection.key.encode()):
            raise ProtocolError("The key is not the host's.")
        if hello.version != PROTOCOL_VERSION:
            error = ProtocolError(
                f"The host speaks protocol version {PROTOCOL_VERSION}, not {hello.version}.",
                hint="Restart the host (%lab stop) after an upgrade of dspex_lab.",
            )
            if hello.role == "worker":
                self.workforce.reject(hello.name, error)
            raise error
        self.broker.add_peer(peer, hello)
        if hello.role != "worker":
            self._watch_process(peer, hello.pid)
        self.send(peer, Welcome(PROTOCOL_VERSION, self.connection.host_id, os.getpid(), self._parcels.prefix(peer)))

    def _handle(self, peer: bytes, message: FromPeer, payload: Frames) -> None:
        broker = self.broker
        match message:
            case Submit():
                self._parcels.submit(peer, message, payload)
            case ChunkOut():
                broker.chunk(peer, message)
            case Done():
                self._done(peer, message, payload)
            case Failed():
                broker.failed(peer, message)
            case Started():
                broker.started(peer, message)
            case Heartbeat() | Telemetry():
                self._hear(peer, message)
            case Credit():
                broker.credit(peer, message)
            case Cancel():
                broker.cancel(peer, message)
            case Request():
                self._answer(peer, message)
            case Goodbye():
                self._forget_client(peer)

    def _done(self, peer: bytes, message: Done, payload: Frames) -> None:
        self._parcels.check(peer, message.segments)
        if not self.broker.done(peer, message, payload):
            self._parcels.drop(message.segments)

    def _hear(self, peer: bytes, message: Heartbeat | Telemetry) -> None:
        """How a worker is, and what a peer did; what generated code could have made up is not written down."""
        worker = self.broker.peers[peer].worker
        if isinstance(message, Heartbeat):
            if worker is not None:
                self.workforce.heard(worker, message.rss_bytes, message.cpu_s, is_worn=message.is_worn)
        elif worker is None or self.workforce.pools[worker.pool].spec.sandbox == "off":
            self.ledger.told(message.spans, message.events)
            if worker is None:
                self.runs.heard(peer, message.events)

    def _answer(self, peer: bytes, request: Request) -> None:
        try:
            if self.broker.peers[peer].worker is not None:
                raise ProtocolError("A worker gives no orders.")
            value = self._orders.carry_out(peer, request.method, request.params)
        except LabError as error:
            self.send(peer, Reply(request.id, error=error.to_dict()))
            return
        if isawaitable(value):
            task = asyncio.ensure_future(self._answer_later(peer, request.id, value))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        else:
            self.send(peer, Reply(request.id, value=value))

    async def _answer_later(self, peer: bytes, request_id: str, value: Awaitable[Any]) -> None:
        try:
            reply = Reply(request_id, value=await value)
        except LabError as error:
            reply = Reply(request_id, error=error.to_dict())
        if not self._is_leaving:
            self.send(peer, reply)

    # --- processes --------------------------------------------------------------------------------------------

    def _call_begun(self, call: CallRecord) -> None:
        self.ledger.begun(call)
        self.jobs.begun(call)

    def _call_ended(self, call: CallRecord, done: Done | None, payload: Frames, error: dict[str, Any]) -> None:
        self.ledger.ended(call, done, error)
        self.jobs.ended(call, done, payload, error)
        if call.submit.detached:
            self._parcels.drop(call.submit.segments)

    def _worker_exited(self, worker_id: str, status: int, reason: str) -> None:
        self.broker.worker_exited(worker_id, status, reason)
        self._parcels.forget_worker(worker_id)

    def _watch_process(self, peer: bytes, pid: int) -> None:
        """Be told at once when the client's process ends, however it ends."""
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return  # of another user's namespace: its Goodbye must do
        self._pidfds[peer] = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._forget_client, peer)

    def _unwatch(self, peer: bytes) -> None:
        descriptor = self._pidfds.pop(peer, None)
        if descriptor is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

    def _forget_client(self, peer: bytes) -> None:
        self._unwatch(peer)
        if peer in self.broker.peers:
            self.ledger.told((), [self._end_of_lost(run_id) for run_id in self.runs.left(peer)])
            prefix = self._parcels.prefix(peer)
            self.broker.remove_peer(peer)
            self._run_orders.left(peer)
            self._parcels.sweep(prefix)
            self.ledger.forget(peer)

    def _end_of_lost(self, run_id: str) -> dict[str, Any]:
        """The end of a run whose notebook is gone, in its place: nobody else would tell it."""
        error = Cancelled("The notebook ended while the run was under way.").to_dict()
        told = {"run_id": run_id, "status": "cancelled", "error": error}
        return {"name": "run.end", "time": self._clock.now(), "attributes": told}

    def log_files(self) -> list[Path]:
        """Where the host, the zygote and the workers write."""
        return [self.settings.runtime_dir / LOG, *sorted(self.folder.glob("*.log"))]

    def __repr__(self) -> str:
        return f"<Host {self.connection.host_id} [{self.broker!r}]>"
