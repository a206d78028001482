"""A ZMQ socket driven by an asyncio loop: the only place that knows how the two fit together.

pyzmq's own asyncio sockets make a future for every message; here the loop watches the socket's file descriptor and
every message that is there is handed over at once, which halves the cost of a small message. Its multipart methods look
up enum members for every frame, which costs more than the frame: here flags are plain numbers. Used by the host, by
notebooks and by workers; knows nothing of what the frames mean.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import zmq

__all__ = ["Frames", "PolledSocket"]

log = logging.getLogger(__name__)

Frames = Sequence[bytes | memoryview]

#: Messages handed over before the loop gets a turn for everything else.
_BURST = 100
#: After the first message, and then after so many, the socket is asked whether there are more. Often there is but one,
#: and asking costs less than zmq.Again; and only when asked, or after a hundred messages, does it look whether another
#: peer has begun to send: a worker's answer would wait for what a notebook sends in one go.
_ASKED_EVERY = 8
_NOW = int(zmq.DONTWAIT)
_MORE_FOLLOWS = int(zmq.DONTWAIT | zmq.SNDMORE)
_READABLE = int(zmq.POLLIN)


class PolledSocket:
    """A socket of its own context on the running loop; ``on_message(frames)`` is called for every message.

    Sending never blocks: queues are without a limit here, because what may be under way is bounded above, by
    credit and by queue limits. Close it with :meth:`close`.
    """

    def __init__(self, kind: int, on_message: Callable[[list[bytes]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._context = zmq.Context()
        self._socket = self._context.socket(kind)
        self._socket.linger = 200
        self._socket.sndhwm = self._socket.rcvhwm = 0
        if kind == zmq.ROUTER:
            self._socket.router_mandatory = 1
        self._file_descriptor = int(self._socket.getsockopt(zmq.FD))
        self._is_drain_planned = self._is_draining = False
        self._loop.add_reader(self._file_descriptor, self._take)

    @property
    def is_closed(self) -> bool:
        return bool(self._socket.closed)

    def bind(self, address: str) -> None:
        self._socket.bind(address)
        self._plan_drain()

    def connect(self, address: str) -> None:
        self._socket.connect(address)
        self._plan_drain()

    def send(self, frames: Frames) -> bool:
        """Send one message. False when the peer is gone (a ROUTER that no longer knows the identity)."""
        if self._socket.closed:
            return False
        is_copied = sum(map(len, frames)) < 65536
        try:
            for frame in frames[:-1]:
                self._socket.send(frame, _MORE_FOLLOWS, is_copied)
            self._socket.send(frames[-1], _NOW, is_copied)
        except zmq.ZMQError as error:
            if error.errno in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                return False
            raise
        finally:
            # The descriptor is edge-triggered and sending may swallow the edge of a message that came meanwhile.
            if not self._is_draining:
                self._plan_drain()
        return True

    def _plan_drain(self) -> None:
        if not self._is_drain_planned and not self._socket.closed:
            self._is_drain_planned = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._is_drain_planned = False
        if not self._socket.closed and self._has_message():
            self._take()

    def _take(self) -> None:
        """Hand over what is there."""
        self._is_draining = True  # until nothing is left, which finds too what a send below has swallowed
        try:
            for number in range(_BURST):
                if self._socket.closed or (number % _ASKED_EVERY == 1 and not self._has_message()):
                    return
                try:
                    frames = self._next()
                except zmq.Again:
                    return
                try:
                    self._on_message(frames)
                except Exception:
                    log.exception("A message could not be handled.")
        finally:
            self._is_draining = False
        self._plan_drain()

    def _has_message(self) -> bool:
        return bool(int(self._socket.getsockopt(zmq.EVENTS)) & _READABLE)

    def _next(self) -> list[bytes]:
        """The frames of the next message; ``zmq.Again`` when there is none."""
        frame = self._socket.recv(_NOW, copy=False)
        frames = [frame.bytes]
        while frame.more:
            frame = self._socket.recv(_NOW, copy=False)
            frames.append(frame.bytes)
        return frames

    def close(self) -> None:
        """Let what was sent leave (at most 0.2 s), then let go of the socket and its context. Safe to call twice."""
        if self._socket.closed:
            return
        self._loop.remove_reader(self._file_descriptor)
        self._socket.close()
        self._context.term()

    def __repr__(self) -> str:
        state = "closed" if self._socket.closed else "open"
        return f"<PolledSocket [{state}]>"
