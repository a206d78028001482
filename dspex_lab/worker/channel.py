"""The worker's end of the data channel, on its services thread: the only file of the worker that knows ZMQ.

It says hello, hands calls to the dispatcher, carries answers and nested calls back, and beats once a second. The
beat is on this thread and never waits for user code, so silence means a stuck process and not a busy one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from dataclasses import dataclass

import psutil
import zmq

from dspex_lab.errors import ProtocolError
from dspex_lab.sockets import PolledSocket
from dspex_lab.telemetry import Outlet, Tracer
from dspex_lab.wire.caller import Caller
from dspex_lab.wire.framing import Frames, pack, unpack_from_host
from dspex_lab.wire.messages import (
    PROTOCOL_VERSION,
    Done,
    Failed,
    Goodbye,
    Heartbeat,
    Hello,
    Message,
    Refused,
    Telemetry,
    Welcome,
)
from dspex_lab.wire.segments import Segments
from dspex_lab.worker.dispatch import Dispatcher
from dspex_lab.worker.engines.pool import NEURAL_POOL
from dspex_lab.worker.engines.router import close_engines, engines_from_environment, install_engines
from dspex_lab.worker.guards import Guards, seal_worker
from dspex_lab.worker.interrupts import Interrupts

__all__ = ["Channel", "WorkerConfig"]

log = logging.getLogger(__name__)

_TELL_WITHIN_S = 0.05


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What a worker is told at its start. ``key`` is the host's secret and never leaves the process."""

    worker_id: str
    pool: str
    address: str
    key: str
    heartbeat_s: float = 1.0
    #: What the names of its segments begin with; "": it uses no shared memory.
    segment_prefix: str = ""
    sandbox: str = "off"
    max_memory_mb: int = 512


class Channel:
    """The services thread and all that lives on it. ``start`` once, from the main thread."""

    def __init__(
        self, config: WorkerConfig, main: asyncio.AbstractEventLoop, guards: Guards, interrupts: Interrupts
    ) -> None:
        self._config = config
        self._interrupts = interrupts
        self._guards = guards
        self._main = main
        self._outlet = Outlet()
        self._is_telling = False
        self._thread = threading.Thread(target=self._run, name="dspex-lab-services", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._socket = PolledSocket(zmq.DEALER, self._receive)
        segments = Segments(self._config.segment_prefix)
        self._caller = Caller(self._send, segments)
        self._dispatcher = Dispatcher(
            self._main,
            self._answer,
            self._caller.submit,
            segments,
            guards=self._guards,
            interrupts=self._interrupts,
            tracer=Tracer(self._outlet.add_span),
        )
        self._socket.connect(self._config.address)
        config = self._config
        self._send(Hello(PROTOCOL_VERSION, config.key, "worker", config.worker_id, os.getpid()), ())
        if config.pool == NEURAL_POOL:
            # Local models run here: a nested call to one's own pool could wait for itself.
            install_engines(asyncio.get_running_loop(), engines_from_environment(serves_local=True))
        try:
            await self._beat()
        finally:
            self._tell_spans()
            self._send(Goodbye(), ())
            await close_engines()
            self._socket.close()

    async def _beat(self) -> None:
        process = psutil.Process()
        while True:
            with process.oneshot():
                cpu = process.cpu_times()
                rss_bytes = process.memory_info().rss
            dispatcher = self._dispatcher
            beat = Heartbeat(rss_bytes, cpu.user + cpu.system, dispatcher.in_flight, dispatcher.is_worn)
            self._send(beat, ())
            self._tell_spans()
            await asyncio.sleep(self._config.heartbeat_s)

    def _tell_spans(self) -> None:
        """What was done since the last beat; of very much, a part, and the rest with the next."""
        self._is_telling = False
        if not self._outlet.is_empty():
            spans, _ = self._outlet.take()
            self._send(Telemetry([span.to_dict() for span in spans]), ())

    def _answer(self, message: Message, payload: Frames) -> None:
        """Send what a call says; what was done for it is told soon after its end, and together with other calls'."""
        self._send(message, payload)
        if isinstance(message, Done | Failed) and not self._is_telling and not self._outlet.is_empty():
            self._is_telling = True
            asyncio.get_running_loop().call_later(_TELL_WITHIN_S, self._tell_spans)

    def _send(self, message: Message, payload: Frames) -> None:
        self._socket.send(pack(message, payload))

    def _receive(self, frames: list[bytes]) -> None:
        message, payload = unpack_from_host(frames)
        match message:
            case Welcome():
                seal_worker(self._guards)
                log.info("Worker %s of pool %s is ready.", self._config.worker_id, self._config.pool)
            case Refused():
                raise ProtocolError(str(message.error.get("message")))
            case _:
                if not self._caller.receive(message, payload):
                    self._dispatcher.receive(message, payload)
