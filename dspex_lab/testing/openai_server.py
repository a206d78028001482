"""A stand-in server in OpenAI's wire form, on loopback: answers as scripted, and misbehaves on demand.

Made of asyncio's own streams, on one thread. ``with OpenAiServer(...) as server`` (or ``async with``) ends for sure:
leaving it closes every connection, whatever is still under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dspex_lab.testing.scripted_answers import Answer, Behaviour

__all__ = ["OpenAiServer", "ServerStatistics"]

_START_TIMEOUT_S = 10.0
_MAX_BODY_BYTES = 16 * 1024 * 1024
#: Connections that may knock at the same time.
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """What the server saw. A token is a word; ``broken`` counts the answers whose reader went away."""

    requests: int = 0
    connections: int = 0
    open_connections: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    broken: int = 0


class OpenAiServer:
    """Answers ``POST /v1/chat/completions``: first as ``script`` says, one behaviour a request, then as ``behaviour``.

    ``requests`` holds the bodies that came, ``authorizations`` the headers with their keys; ``reader_left`` is set
    when a reader goes away in the middle of an answer.
    """

    def __init__(self, behaviour: Behaviour | None = None, *, script: Iterable[Behaviour] = ()) -> None:
        self.behaviour = behaviour or Behaviour()
        self.requests: list[dict[str, Any]] = []
        self.authorizations: list[str] = []
        self.reader_left = threading.Event()
        self._script = deque(script)
        self._counts = {"connections": 0, "input_tokens": 0, "output_tokens": 0, "broken": 0}
        self._connections: set[asyncio.Task[Any]] = set()
        self._port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def api_base(self) -> str:
        """The address to give to a client: ``http://127.0.0.1:PORT/v1``."""
        return f"http://127.0.0.1:{self._port}/v1"

    def statistics(self) -> ServerStatistics:
        return ServerStatistics(requests=len(self.requests), open_connections=len(self._connections), **self._counts)

    def play(self, *behaviours: Behaviour) -> None:
        """Answer the next requests so, one each."""
        self._script.extend(behaviours)

    # --- its life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen, on a thread of its own; :meth:`stop` ends it."""
        is_ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(is_ready)), name="dspex-openai-server", daemon=True
        )
        self._thread.start()
        if not is_ready.wait(_START_TIMEOUT_S):
            raise TimeoutError("The stand-in server did not start.")

    def stop(self) -> None:
        """Close every connection, and end. Safe to call twice."""
        if self._loop is not None and self._stopped is not None:
            with contextlib.suppress(RuntimeError):  # its loop has ended by itself
                self._loop.call_soon_threadsafe(self._stopped.set)
        if self._thread is not None:
            self._thread.join(_START_TIMEOUT_S)

    def __enter__(self) -> OpenAiServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> OpenAiServer:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.__exit__)

    async def _serve(self, is_ready: threading.Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = await self._loop.create_server(self._protocol, "127.0.0.1", 0, backlog=_BACKLOG)
        self._port = server.sockets[0].getsockname()[1]
        is_ready.set()
        await self._stopped.wait()
        server.close()
        open_now = tuple(self._connections)
        for task in open_now:
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)

    # --- one connection -------------------------------------------------------------------------------------------

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(_Watched(), self._connected)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._connections.add(task)
        self._counts["connections"] += 1
        # An end by cancellation is the server's own end, and asyncio reports connections that end so.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._exchange(reader, writer):
                pass
        self._connections.discard(task)
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether the connection goes on."""
        headers = _headers(await reader.readuntil(b"\r\n\r\n"))
        length = int(headers.get("content-length", "0"))
        if length > _MAX_BODY_BYTES:
            return False
        request = json.loads(await reader.readexactly(length) or b"{}")
        self.requests.append(request)
        self.authorizations.append(headers.get("authorization", ""))
        behaviour = self._script.popleft() if self._script else self.behaviour
        work = asyncio.ensure_future(self._answer(Answer(request, behaviour), behaviour, writer))
        if isinstance(reader, _Watched):
            reader.on_end(work.cancel)
        try:
            return await work
        except asyncio.CancelledError:
            if not reader.at_eof() and reader.exception() is None:
                raise
            self._counts["broken"] += 1
            self.reader_left.set()
            return False
        finally:
            work.cancel()

    async def _answer(self, answer: Answer, behaviour: Behaviour, writer: asyncio.StreamWriter) -> bool:
        if behaviour.is_silent:
            await asyncio.Event().wait()
        await asyncio.sleep(behaviour.latency_s)
        if (error := answer.error()) is not None:
            await _send_body(writer, error[0], error[1], behaviour)
            return True
        # Counted before it is sent: who has the answer finds it in the statistics.
        self._counts["input_tokens"] += answer.usage["prompt_tokens"]
        self._counts["output_tokens"] += answer.usage["completion_tokens"]
        return await (_send_stream if answer.is_stream else _send_reply)(writer, answer, behaviour)

    def __repr__(self) -> str:
        seen = self.statistics()
        return f"<OpenAiServer [{self.api_base}, requests: {seen.requests}, connections: {seen.connections}]>"


class _Watched(asyncio.StreamReader):
    """Says so when the other side has gone, without being read."""

    _listener: Callable[[], object] | None = None

    def on_end(self, listener: Callable[[], object]) -> None:
        """Call ``listener()`` at the end of what comes, in place of the listener before; now, if it has ended."""
        self._listener = listener
        if self.at_eof() or self.exception() is not None:
            listener()

    def feed_eof(self) -> None:
        super().feed_eof()
        self._tell()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self._tell()

    def _tell(self) -> None:
        if self._listener is not None:
            self._listener()


async def _send_reply(writer: asyncio.StreamWriter, answer: Answer, behaviour: Behaviour) -> bool:
    body = answer.body()
    if behaviour.cut_after is not None:
        writer.write(_head(200, {"content-length": str(len(body)), **behaviour.headers}) + body[: len(body) // 2])
        await writer.drain()
        return False
    await _send_body(writer, 200, body, behaviour)
    return True


async def _send_stream(writer: asyncio.StreamWriter, answer: Answer, behaviour: Behaviour) -> bool:
    """Whether the stream was whole."""
    headers = {"content-type": "text/event-stream", "transfer-encoding": "chunked", **behaviour.headers}
    writer.write(_head(200, headers))
    for data in answer.events():
        event = b"data: " + data + b"\n\n"
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        await writer.drain()
        await asyncio.sleep(behaviour.delay_s)
    if behaviour.cut_after is not None:
        return False
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def _send_body(writer: asyncio.StreamWriter, status: int, body: bytes, behaviour: Behaviour) -> None:
    headers = {"content-type": "application/json", "content-length": str(len(body)), **behaviour.headers}
    writer.write(_head(status, headers))
    pieces = [body[i : i + 1] for i in range(len(body))] if behaviour.is_bytewise else [body]
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        if behaviour.is_bytewise:
            await asyncio.sleep(behaviour.delay_s)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def _headers(head: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:] if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
