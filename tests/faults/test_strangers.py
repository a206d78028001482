"""Strangers at the host's socket: nobody gets in without the key, and nothing that they send ends the host."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Sequence

import psutil
import zmq

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.pool.processes.rendezvous import find_host
from dspex_lab.settings import Settings
from dspex_lab.sockets import Frames, PolledSocket
from dspex_lab.testing.site import Site, echo, end_of
from dspex_lab.wire.framing import pack, unpack_from_host
from dspex_lab.wire.messages import (
    PROTOCOL_VERSION,
    Cancel,
    ChunkOut,
    Credit,
    Done,
    Failed,
    Goodbye,
    Heartbeat,
    Hello,
    Refused,
    Request,
    Segment,
    Started,
    Submit,
    Telemetry,
    Welcome,
)

Connect = Callable[[Settings], KernelBackend]


async def answers(address: str, messages: Sequence[Frames]) -> list[str]:
    """What the host answers to each of ``messages``, sent by one stranger: the names of the message types."""
    arrived: asyncio.Queue[str] = asyncio.Queue()
    socket = PolledSocket(zmq.DEALER, lambda frames: arrived.put_nowait(type(unpack_from_host(frames)[0]).__name__))
    try:
        socket.connect(address)
        for message in messages:
            socket.send(message)
        async with asyncio.timeout(10):
            return [await arrived.get() for _ in messages]
    finally:
        socket.close()


async def test_nobody_gets_in_without_the_key(shared_site: Site, connect: Connect) -> None:
    """A wrong key, an unknown version, a stranger that calls itself a worker, and who says no hello are refused."""
    backend = connect(shared_site.settings())
    assert await end_of(backend.submit(echo(1))) == 1
    host = find_host(shared_site.folder)
    assert host is not None
    name = "general-1"  # a worker that is there
    tries = [
        pack(Hello(PROTOCOL_VERSION, "", "client", "x", os.getpid())),
        pack(Hello(PROTOCOL_VERSION, "0" * 64, "client", "x", os.getpid())),
        pack(Hello(PROTOCOL_VERSION, "schlüssel", "client", "x", os.getpid())),
        pack(Hello(99, host.key, "client", "x", os.getpid())),
        pack(Hello(PROTOCOL_VERSION, host.key, "worker", name, os.getpid())),
        pack(Hello(PROTOCOL_VERSION, host.key, "king", "x", os.getpid())),
        pack(Submit(id="c", op="system.echo", pool="general"), (b"\x80",)),
        pack(Request("r", "stop")),
        pack(Done("c")),
        pack(Heartbeat(0, 0.0, 0)),
        pack(Goodbye()),
    ]
    assert await answers(host.address, tries) == [Refused.__name__] * len(tries)
    assert await end_of(backend.submit(echo(2))) == 2


async def test_bad_bytes_are_refused_and_the_host_lives(shared_site: Site, connect: Connect) -> None:
    """2,000 messages of random bytes, from a stranger and from one that was let in, change nothing."""
    backend = connect(shared_site.settings())
    assert await end_of(backend.submit(echo(1))) == 1
    host = find_host(shared_site.folder)
    assert host is not None
    chance = random.Random(7)
    hello = pack(Hello(PROTOCOL_VERSION, host.key, "client", "x", os.getpid()))
    garbage: list[Frames] = [
        [chance.randbytes(chance.randrange(80)) for _ in range(chance.randrange(1, 4))] for _ in range(1000)
    ]
    assert await answers(host.address, garbage) == [Refused.__name__] * 1000
    assert await answers(host.address, [hello, *garbage]) == [Welcome.__name__, *[Refused.__name__] * 1000]
    assert await end_of(backend.submit(echo(2))) == 2


def mutations(draw: random.Random, count: int) -> list[Frames]:
    """Messages that were right until a few of their bytes were changed, taken out or doubled."""
    segments = (Segment(0, "dspex-00000000.x.y", 2**40),)
    right = [
        pack(Submit(id="c", op="system.echo", pool="general", timeout_s=1.0, segments=segments), (b"\x80",)),
        pack(Submit(id="s", op="python.call", pool="general", session="0" * 32, stream=True), (b"\x81\xa1a\x01",)),
        pack(Cancel("c")),
        pack(Credit("c", 2**31)),
        pack(Request("r", "status")),
        pack(Request("r", "pools.resize", {"name": "none", "size": 2**40})),
        pack(Telemetry([{"name": "x", "start": 0.0}], [{"name": "run.start", "attributes": {"a": ["b"] * 50}}])),
        pack(Started("c", "signal")),
        pack(Heartbeat(2**62, 1e300, -5)),
        pack(ChunkOut("c", 0, "text")),
        pack(Done("c", segments=segments), (b"\x01",)),
        pack(Failed("c", {"type": "ValueError"})),
    ]
    made: list[Frames] = []
    for _ in range(count):
        header, *payload = draw.choice(right)
        data = bytearray(header)
        for _ in range(draw.randrange(1, 5)):
            place = draw.randrange(len(data))
            data[place : place + draw.randrange(3)] = draw.randbytes(draw.randrange(3))
            data = data or bytearray(b"\xc1")
        made.append([bytes(data), *payload])
    return made


async def test_messages_that_are_nearly_right_disturb_nobody(shared_site: Site, connect: Connect) -> None:
    """3,000 of them, from one that was let in and one that was not: an honest client is served all the while, and the
    host stays as large as it was."""
    backend = connect(shared_site.settings())
    assert await end_of(backend.submit(echo(1))) == 1
    host = find_host(shared_site.folder)
    assert host is not None
    process = psutil.Process(host.pid)
    before = process.memory_info().rss
    draw = random.Random(11)
    hello = pack(Hello(PROTOCOL_VERSION, host.key, "client", "x", os.getpid()))
    sockets = [PolledSocket(zmq.DEALER, lambda frames: None) for _ in range(2)]
    try:
        for socket, messages in zip(sockets, ([], [hello]), strict=True):
            socket.connect(host.address)
            for message in [*messages, *mutations(draw, 1500)]:
                socket.send(message)
        assert [await end_of(backend.submit(echo(number))) for number in range(300)] == list(range(300))
        assert (await backend.request("status"))["pid"] == host.pid
        assert process.memory_info().rss - before < 50 * 2**20
    finally:
        for socket in sockets:
            socket.close()
