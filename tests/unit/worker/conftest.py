"""A dispatcher to hand messages to, and operations for one test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from dspex_lab.calls import Call, Chunk, Result
from dspex_lab.errors import Cancelled, LabError, error_from_dict
from dspex_lab.portal import Portal
from dspex_lab.wire.codec import decode, encode
from dspex_lab.wire.framing import Frames
from dspex_lab.wire.messages import Done, Failed, Message, Run
from dspex_lab.worker.context import NestedCall
from dspex_lab.worker.dispatch import Dispatcher
from dspex_lab.worker.ops.base import _OPERATIONS, operation


class Nested:
    """A call that an operation made, and that ends when it is cancelled."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self._end: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        none: tuple[Chunk, ...] = ()
        for chunk in none:
            yield chunk

    async def result(self) -> Result:
        return await asyncio.shield(self._end)

    def cancel(self) -> None:
        if not self._end.done():
            self._end.set_exception(Cancelled("the nested call was cancelled"))


class Bench:
    """A dispatcher whose answers are kept; its main loop is on a thread of its own."""

    def __init__(self, main: asyncio.AbstractEventLoop) -> None:
        self.sent: list[tuple[Message, Frames]] = []
        self._news = asyncio.Event()
        self.nested: list[Nested] = []
        self.dispatcher = Dispatcher(main, self._send, self._submit)

    def _send(self, message: Message, payload: Frames) -> None:
        self.sent.append((message, payload))
        self._news.set()

    def _submit(self, call: Call) -> NestedCall:
        self.nested.append(Nested(call))
        return self.nested[-1]

    def run(self, op: str, *, call_id: str = "c", stream: bool = False, credit: int = 2, **arguments: Any) -> None:
        run = Run(id=call_id, op=op, timeout_s=5.0, trace_id="t" * 32, span_id="s" * 16, stream=stream, credit=credit)
        self.dispatcher.receive(run, encode(arguments))

    async def wait_for(self, kind: type[Message], call_id: str = "c", *, count: int = 1) -> Any:
        """The newest of ``count`` messages of ``kind`` about the call."""
        async with asyncio.timeout(10):
            while len(found := self.all(kind, call_id)) < count:
                self._news.clear()
                await self._news.wait()
        return found[-1]

    def all(self, kind: type[Message], call_id: str = "c") -> list[Any]:
        return [
            message for message, _ in self.sent if isinstance(message, kind) and getattr(message, "id", "") == call_id
        ]

    async def value(self, call_id: str = "c") -> Any:
        done = await self.wait_for(Done, call_id)
        return next(decode(payload) for message, payload in self.sent if message is done)

    async def error(self, call_id: str = "c") -> LabError:
        return error_from_dict((await self.wait_for(Failed, call_id)).error)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    with Portal() as portal:
        made = Bench(portal.call_soon(asyncio.get_running_loop))
        yield made
        assert made.dispatcher.in_flight == 0
        await asyncio.sleep(0)


@pytest.fixture
def ops() -> Iterator[Callable[..., None]]:
    """Registers operations for one test."""
    names: set[str] = set()

    def register(function: Callable[..., Any], runs_on: Any = "main") -> None:
        names.add(f"test.{function.__name__}")
        operation(f"test.{function.__name__}", runs_on=runs_on)(function)

    yield register
    for name in names:
        del _OPERATIONS[name]
