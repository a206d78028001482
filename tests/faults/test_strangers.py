"""Strangers at the host's socket: nobody gets in without the key, and nothing that they send ends the host."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Sequence

import zmq

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.pool.rendezvous import find_host
from dspex_lab.settings import Settings
from dspex_lab.sockets import Frames, PolledSocket
from dspex_lab.testing.site import Site, echo, end_of
from dspex_lab.wire.framing import pack, unpack_from_host
from dspex_lab.wire.messages import PROTOCOL_VERSION, Done, Goodbye, Heartbeat, Hello, Refused, Request, Submit, Welcome

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
