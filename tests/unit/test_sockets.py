"""The socket on the loop: every message arrives, whatever edges the descriptor shows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from dspex_lab.sockets import PolledSocket


@pytest.fixture
def address(tmp_path: Path, lab_runtime_dir: Path) -> Iterator[str]:
    path = lab_runtime_dir / "s.sock"
    yield f"ipc://{path}"
    path.unlink(missing_ok=True)


async def test_ten_thousand_messages_go_both_ways(address: str) -> None:
    """Nothing is lost and nothing changes its place, with both sides sending while they read."""
    total, echoes = 10_000, list[bytes]()
    finished = asyncio.Event()

    def echo(frames: list[bytes]) -> None:
        server.send(frames)

    def collect(frames: list[bytes]) -> None:
        echoes.append(frames[0])
        if len(echoes) == total:
            finished.set()

    server = PolledSocket(zmq.ROUTER, echo)
    server.bind(address)
    client = PolledSocket(zmq.DEALER, collect)
    client.connect(address)
    try:
        for number in range(total):
            client.send([str(number).encode(), b"payload"])
            if number % 100 == 0:
                await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await finished.wait()
    finally:
        client.close()
        server.close()
    assert echoes == [str(number).encode() for number in range(total)]


async def test_single_messages_never_wait_for_the_next(address: str) -> None:
    """Ping-pong: each answer comes without another message to wake the reader."""
    answers: asyncio.Queue[bytes] = asyncio.Queue()

    def echo(frames: list[bytes]) -> None:
        server.send(frames)

    server = PolledSocket(zmq.ROUTER, echo)
    server.bind(address)
    client = PolledSocket(zmq.DEALER, lambda frames: answers.put_nowait(frames[0]))
    client.connect(address)
    try:
        for number in range(500):
            client.send([str(number).encode()])
            async with asyncio.timeout(5):
                assert await answers.get() == str(number).encode()
    finally:
        client.close()
        server.close()


async def test_a_large_message_arrives_whole(address: str) -> None:
    """Frames that are not copied arrive as they were."""
    arrived: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
    server = PolledSocket(zmq.ROUTER, arrived.set_result)
    server.bind(address)
    client = PolledSocket(zmq.DEALER, lambda _: None)
    client.connect(address)
    try:
        large = bytes(range(256)) * 20_000
        client.send([b"small", memoryview(large)])
        async with asyncio.timeout(10):
            assert (await arrived)[1:] == [b"small", large]
    finally:
        client.close()
        server.close()


async def test_a_listener_that_raises_loses_only_its_message(address: str, caplog: pytest.LogCaptureFixture) -> None:
    """The messages after the bad one are handed over, and the error is in the log."""
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    def listen(frames: list[bytes]) -> None:
        if frames[1] == b"bad":
            raise ValueError("bad")
        arrived.put_nowait(frames[1])

    server = PolledSocket(zmq.ROUTER, listen)
    server.bind(address)
    client = PolledSocket(zmq.DEALER, lambda _: None)
    client.connect(address)
    try:
        client.send([b"bad"])
        client.send([b"good"])
        async with asyncio.timeout(5):
            assert await arrived.get() == b"good"
    finally:
        client.close()
        server.close()
    assert "could not be handled" in caplog.text


async def test_sending_to_who_is_gone_says_no(address: str) -> None:
    """A ROUTER's unknown peer is False and no exception."""
    server = PolledSocket(zmq.ROUTER, lambda _: None)
    server.bind(address)
    try:
        assert server.send([b"nobody", b"text"]) is False
    finally:
        server.close()


async def test_closed_is_closed() -> None:
    """Closing twice is closing once, and sending then says no."""
    socket = PolledSocket(zmq.DEALER, lambda _: None)
    assert repr(socket) == "<PolledSocket [open]>"
    socket.close()
    socket.close()
    assert socket.is_closed
    assert socket.send([b"x"]) is False
    assert repr(socket) == "<PolledSocket [closed]>"
