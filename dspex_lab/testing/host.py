"""A host without processes and sockets: what the broker sends and orders is written down for the test to read."""

from __future__ import annotations

from dataclasses import dataclass, field

from dspex_lab.errors import LabError
from dspex_lab.pool.broker import Broker
from dspex_lab.pool.health import HealthLimits, enforce, examine
from dspex_lab.pool.processes.gpus import gpu_refusal
from dspex_lab.pool.workforce import Workforce
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.clock import FakeClock
from dspex_lab.wire.framing import Frames
from dspex_lab.wire.messages import Failed, Hello, Message, Run

__all__ = ["FakeHost", "RecordingKernels", "RecordingOutbox"]


@dataclass
class RecordingOutbox:
    """An ``Outbox`` that keeps ``(peer, message, payload)`` in the order of sending."""

    sent: list[tuple[bytes, Message, Frames]] = field(default_factory=list)

    def send(self, peer: bytes, message: Message, payload: Frames = ()) -> None:
        self.sent.append((peer, message, payload))

    def to(self, peer: bytes) -> list[Message]:
        """Every message to ``peer`` so far."""
        return [message for receiver, message, _ in self.sent if receiver == peer]

    def errors_to(self, peer: bytes) -> dict[str, str]:
        """The class name of each error that ``peer`` was told, by call id."""
        return {message.id: str(message.error["type"]) for message in self.to(peer) if isinstance(message, Failed)}

    def runs(self) -> list[tuple[bytes, str]]:
        """``(peer, call id)`` for each call that was handed to a worker, in order."""
        return [(peer, message.id) for peer, message, _ in self.sent if isinstance(message, Run)]


@dataclass
class RecordingKernels:
    """``Kernels`` that start nothing: each list holds the ids of the workers that were ordered about."""

    started: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    interrupted: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    #: Whether pools that want a GPU have one.
    is_gpu_there: bool = False

    def start(self, worker_id: str, spec: PoolSpec) -> None:
        self.started.append(worker_id)

    def refusal(self, spec: PoolSpec) -> LabError | None:
        return gpu_refusal(spec, ())

    def has_gpu(self, spec: PoolSpec) -> bool:
        return self.is_gpu_there and spec.gpu != "off"

    def device(self, spec: PoolSpec) -> str:
        return "" if spec.gpu == "off" else "CPU (no GPU found)"

    def stop(self, worker_id: str) -> None:
        self.stopped.append(worker_id)

    def interrupt(self, worker_id: str) -> None:
        self.interrupted.append(worker_id)

    def kill(self, worker_id: str) -> None:
        self.killed.append(worker_id)


class FakeHost:
    """A broker over recording ends and a clock that the test moves."""

    def __init__(self, *specs: PoolSpec) -> None:
        self.clock = FakeClock()
        self.outbox = RecordingOutbox()
        self.kernels = RecordingKernels()
        self.workforce = Workforce(specs or (PoolSpec(name="general", size=1),), self.kernels, self.clock)
        self.broker = Broker(self.workforce, self.outbox, self.clock)

    def add_client(self, name: str = "notebook") -> bytes:
        """A client that said hello; its name as bytes is its identity."""
        self.broker.add_peer(name.encode(), Hello(1, "", "client", name, 1))
        return name.encode()

    def greet(self, worker_id: str) -> bytes:
        """The worker says hello; its id as bytes is its identity."""
        self.broker.add_peer(worker_id.encode(), Hello(1, "", "worker", worker_id, 1))
        return worker_id.encode()

    def greet_all(self) -> list[bytes]:
        """Every worker that was started and did not say hello yet does so now."""
        return [self.greet(worker.id) for worker in list(self.workforce.workers.values()) if worker.peer is None]

    def examine(self, *, start_timeout_s: float = 60.0, silence_s: float = 30.0) -> None:
        """What the host does several times a second: end what is overdue, then fill the places."""
        pools = self.workforce.pools.values()
        limits = HealthLimits(start_timeout_s, silence_s)
        enforce(self.broker, examine(self.broker.calls.values(), pools, self.clock.monotonic(), limits))
        for pool in pools:
            self.broker.balance(pool)

    def __repr__(self) -> str:
        return f"<FakeHost [{self.broker!r}, {self.workforce!r}]>"
