"""Every message has its golden bytes, and what is not in the protocol is a ProtocolError."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.errors import ProtocolError
from dspex_lab.wire import messages
from dspex_lab.wire.framing import pack, unpack_from_host, unpack_from_peer
from dspex_lab.wire.messages import (
    PROTOCOL_VERSION,
    RUN_CANCEL,
    Cancel,
    ChunkOut,
    Credit,
    Demands,
    Done,
    Failed,
    Goodbye,
    Heartbeat,
    Hello,
    Message,
    Notice,
    Refused,
    Reply,
    Request,
    Run,
    Segment,
    Started,
    Submit,
    Telemetry,
    Welcome,
)

FROM_PEER: list[tuple[Message, str]] = [
    (
        Hello(1, "k", "client", "nb", 7),
        "86a474797065a568656c6c6fa776657273696f6e01a36b6579a16ba4726f6c65a6636c69656e74a46e616d65a26e62a370696407",
    ),
    (
        Submit(id="c", op="a.b", pool="p", timeout_s=1.5),
        "de0005a474797065a67375626d6974a26964a163a26f70a3612e62a4706f6f6ca170a974696d656f75745f73cb3ff8000000000000",
    ),
    (
        Submit(id="c", op="a.b", pool="any", needs=Demands(gpu=True, memory_mb=9, labels=("l",))),
        "de0005a474797065a67375626d6974a26964a163a26f70a3612e62a4706f6f6ca3616e79a56e6565647393c30991a16c",
    ),
    (
        Submit(id="c", op="a.b", pool="p", parent="q"),
        "de0005a474797065a67375626d6974a26964a163a26f70a3612e62a4706f6f6ca170a6706172656e74a171",
    ),
    (Cancel("c"), "82a474797065a663616e63656ca26964a163"),
    (Credit("c", 3), "83a474797065a6637265646974a26964a163a5636f756e7403"),
    (Request("r", "status"), "83a474797065a772657175657374a26964a172a66d6574686f64a6737461747573"),
    (Goodbye(), "81a474797065a7676f6f64627965"),
    (Telemetry(spans=[{"name": "s"}]), "82a474797065a974656c656d65747279a57370616e739181a46e616d65a173"),
    (Started("c", "task"), "83a474797065a773746172746564a26964a163ad696e7465727275707469626c65a47461736b"),
    (
        Heartbeat(5, 0.5, 1),
        "84a474797065a9686561727462656174a97273735f627974657305a56370755f73cb3fe0000000000000a9696e5f666c6967687401",
    ),
    (ChunkOut("c", 2, "t"), "84a474797065a56368756e6ba26964a163a373657102a474657874a174"),
    (Done("c", worker="w"), "83a474797065a4646f6e65a26964a163a6776f726b6572a177"),
    (Done("c", segments=(Segment(0, "n", 9),)), "83a474797065a4646f6e65a26964a163a87365676d656e7473919400a16e09c2"),
    (Failed("c", {"type": "X"}), "83a474797065a66661696c6564a26964a163a56572726f7281a474797065a158"),
]
FROM_HOST: list[tuple[Message, str]] = [
    (Welcome(1, "h", 7), "84a474797065a777656c636f6d65a776657273696f6e01a7686f73745f6964a168a370696407"),
    (Refused({"type": "X"}), "82a474797065a772656675736564a56572726f7281a474797065a158"),
    (Run(id="c", op="a.b"), "83a474797065a372756ea26964a163a26f70a3612e62"),
    (
        Run(id="c", op="a.b", session="s"),
        "84a474797065a372756ea26964a163a26f70a3612e62a773657373696f6ea173",
    ),
    (Reply("r", 1), "83a474797065a57265706c79a26964a172a576616c756501"),
    (Notice("n"), "82a474797065a66e6f74696365a46e616d65a16e"),
    (
        Notice(RUN_CANCEL, {"run_id": "r"}),
        "83a474797065a66e6f74696365a46e616d65aa72756e2e63616e63656caa6174747269627574657381a672756e5f6964a172",
    ),
]
BOTH_WAYS = [entry for entry in FROM_PEER if isinstance(entry[0], Cancel | Credit | ChunkOut | Done | Failed)]


@pytest.mark.parametrize(("message", "golden"), [*FROM_PEER, *FROM_HOST], ids=lambda one: type(one).__name__)
def test_bytes_are_golden(message: Message, golden: str) -> None:
    """The bytes of a message change only together with the protocol's version."""
    assert PROTOCOL_VERSION == 6
    assert bytes(pack(message)[0]).hex() == golden


def test_every_message_has_golden_bytes() -> None:
    """No message type is left out of the tables above."""
    named = {getattr(messages, name) for name in messages.__all__}
    types = {one for one in named if isinstance(one, type) and issubclass(one, Message)} - {Message}
    assert types == {type(message) for message, _ in [*FROM_PEER, *FROM_HOST]}


@pytest.mark.parametrize("message", [message for message, _ in FROM_PEER])
def test_the_host_reads_what_a_peer_says(message: Message) -> None:
    """A message and its payload come out as they went in."""
    assert unpack_from_peer([*pack(message, (b"one", b"two"))]) == (message, [b"one", b"two"])


@pytest.mark.parametrize("message", [message for message, _ in [*FROM_HOST, *BOTH_WAYS]])
def test_a_peer_reads_what_the_host_says(message: Message) -> None:
    """A message and its payload come out as they went in."""
    assert unpack_from_host([*pack(message, (b"one",))]) == (message, [b"one"])


@pytest.mark.parametrize("message", [message for message, _ in FROM_HOST])
def test_what_only_the_host_says_is_refused_from_a_peer(message: Message) -> None:
    """A peer that plays the host is told so."""
    with pytest.raises(ProtocolError):
        unpack_from_peer(pack(message))


def encoded(**fields: object) -> bytes:
    return msgspec.msgpack.encode(fields)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc1", id="no msgpack"),
        pytest.param(encoded(type="coffee", id="c"), id="unknown tag"),
        pytest.param(encoded(id="c"), id="no tag"),
        pytest.param(encoded(type="cancel", id="c", more=1), id="unknown field"),
        pytest.param(encoded(type="cancel"), id="missing field"),
        pytest.param(encoded(type="cancel", id=5), id="wrong type"),
        pytest.param(encoded(type="cancel", id="c") + b"\x00", id="more after the end"),
        pytest.param(msgspec.msgpack.encode(["cancel", "c"]), id="a list"),
        pytest.param(b"\x81\xa4type\xa6\xff\xff\xff\xff\xff\xff", id="no UTF-8"),
        pytest.param(b"\x91" * 100_000, id="without end"),
    ],
)
def test_bad_bytes_are_a_protocol_error(header: bytes) -> None:
    """What is not in the protocol is an error on both sides, never a guess."""
    for unpack in (unpack_from_peer, unpack_from_host):
        with pytest.raises(ProtocolError):
            unpack([header])


def test_no_frames_are_a_protocol_error() -> None:
    """A message has a header."""
    with pytest.raises(ProtocolError):
        unpack_from_peer([])


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_else(header: bytes) -> None:
    """Whatever comes in, it is a message or a ProtocolError."""
    for unpack in (unpack_from_peer, unpack_from_host):
        try:
            unpack([header])
        except ProtocolError:
            continue
