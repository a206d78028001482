"""A worker that misbehaves on demand, as a process of its own: what the host must survive.

``problem_python(folder, problem)`` writes a program that a pool takes as its ``python=``; what it starts speaks just
enough of the protocol to be given calls, and then does what its ``problem`` says. Problems: see :data:`PROBLEMS`.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import zmq

from dspex_lab.wire.codec import encode
from dspex_lab.wire.framing import pack, unpack_from_host
from dspex_lab.wire.messages import PROTOCOL_VERSION, ChunkOut, Done, Heartbeat, Hello, Message, Run

__all__ = ["PROBLEMS", "Worker", "main", "problem_python"]

_BEAT_S = 0.1
_MB = 1024 * 1024


def problem_python(folder: Path, problem: str) -> str:
    """A program for ``PoolSpec(python=...)`` whose workers have ``problem``."""
    if problem not in PROBLEMS:
        raise ValueError(f"There is no problem {problem!r}; there are {', '.join(PROBLEMS)}.")
    path = folder / problem
    path.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {__name__} {problem}\n")
    path.chmod(0o755)
    return str(path)


class Worker:
    """The worker's end of the data channel, blocking and bare."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = json.loads(os.environ["DSPEX_LAB_WORKER"])
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.connect(self.config["address"])

    def hello(self, *, version: int = PROTOCOL_VERSION) -> None:
        self.send(Hello(version, self.config["key"], "worker", self.config["worker_id"], os.getpid()))

    def send(self, message: Message, value: Any = None) -> None:
        self._socket.send_multipart(pack(message, encode(value)))

    def send_raw(self, *frames: bytes) -> None:
        self._socket.send_multipart(frames)

    def next_run(self) -> Run:
        """The next call, beating while it waits; whatever else the host says is ignored."""
        while True:
            if not self._socket.poll(int(_BEAT_S * 1000)):
                self.beat()
                continue
            message, _ = unpack_from_host(self._socket.recv_multipart())
            if isinstance(message, Run):
                return message

    def beat(self, rss_bytes: int = 30 * _MB) -> None:
        self.send(Heartbeat(rss_bytes, 0.0, 0))

    def beat_for_ever(self) -> NoReturn:
        while True:
            self.beat()
            time.sleep(_BEAT_S)


def _hang_at_start(worker: Worker) -> None:
    signal.pause()


def _crash_at_start(worker: Worker) -> None:
    sys.exit(3)


def _unknown_version(worker: Worker) -> None:
    worker.hello(version=PROTOCOL_VERSION + 1000)
    worker.beat_for_ever()


def _be_silent(worker: Worker) -> None:
    worker.hello()
    worker.next_run()
    signal.pause()


def _answer_late(worker: Worker) -> None:
    """Each answer comes when the call's time is over, and the next call is answered too."""
    worker.hello()
    while True:
        run = worker.next_run()
        until = time.monotonic() + (run.timeout_s or 0.0) + 0.2
        while time.monotonic() < until:
            worker.beat()
            time.sleep(_BEAT_S)
        worker.send(Done(run.id), "too late")


def _answer_twice(worker: Worker) -> None:
    worker.hello()
    while True:
        run = worker.next_run()
        worker.send(Done(run.id), "first")
        worker.send(Done(run.id), "second")


def _answer_for_others(worker: Worker) -> None:
    """Ends calls that it was never given, and then its own."""
    worker.hello()
    while True:
        run = worker.next_run()
        worker.send(Done("f" * 32), "not mine")
        worker.send(Done(run.id), "mine")


def _send_garbage(worker: Worker) -> None:
    worker.hello()
    worker.next_run()
    while True:
        worker.send_raw(os.urandom(64))
        time.sleep(_BEAT_S)


def _flood_a_stream(worker: Worker) -> None:
    """Chunk after chunk, whatever credit it has."""
    worker.hello()
    run, number = worker.next_run(), 0
    while True:
        worker.send(ChunkOut(run.id, number, "x" * 1000))
        number += 1


def _exit_quietly(worker: Worker) -> None:
    worker.hello()
    worker.next_run()
    sys.exit(0)


def _leak_memory(worker: Worker) -> None:
    """Answers, and keeps 50 MB of each call."""
    worker.hello()
    kept: list[bytes] = []
    while True:
        run = worker.next_run()
        kept.append(b"x" * (50 * _MB))
        worker.beat(rss_bytes=_own_rss_bytes())
        worker.send(Done(run.id), len(kept))


def _ignore_sigterm(worker: Worker) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    worker.hello()
    while True:
        worker.send(Done(worker.next_run().id), os.getpid())


def _leave_zombies(worker: Worker) -> None:
    """Never waits for its children, and then ends, so that others inherit them."""
    worker.hello()
    run = worker.next_run()
    for _ in range(20):
        if os.fork() == 0:
            os._exit(0)
    worker.send(Done(run.id), "done")
    worker.next_run()
    os._exit(1)


def _own_rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


#: What a worker can do wrong, by name.
PROBLEMS: dict[str, Callable[[Worker], None]] = {
    "hang_at_start": _hang_at_start,
    "crash_at_start": _crash_at_start,
    "unknown_version": _unknown_version,
    "be_silent": _be_silent,
    "answer_late": _answer_late,
    "answer_twice": _answer_twice,
    "answer_for_others": _answer_for_others,
    "send_garbage": _send_garbage,
    "flood_a_stream": _flood_a_stream,
    "exit_quietly": _exit_quietly,
    "leak_memory": _leak_memory,
    "ignore_sigterm": _ignore_sigterm,
    "leave_zombies": _leave_zombies,
}


def main() -> None:
    """``python -m dspex_lab.testing.problem_worker PROBLEM``, started by a host."""
    PROBLEMS[sys.argv[1]](Worker())


if __name__ == "__main__":
    main()
