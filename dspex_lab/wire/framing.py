"""From messages to frames and back: the header is msgpack, the payload's frames follow it untouched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from dspex_lab.errors import ProtocolError
from dspex_lab.wire.messages import FromHost, FromPeer, Message

__all__ = ["Frames", "pack", "unpack_from_host", "unpack_from_peer"]

Frames = Sequence[bytes | memoryview]

_encoder = msgspec.msgpack.Encoder()
_from_peer: msgspec.msgpack.Decoder[FromPeer] = msgspec.msgpack.Decoder(FromPeer)
_from_host: msgspec.msgpack.Decoder[FromHost] = msgspec.msgpack.Decoder(FromHost)


def pack(message: Message, payload: Frames = ()) -> list[bytes | memoryview]:
    """The frames of ``message`` and its payload."""
    return [_encoder.encode(message), *payload]


def unpack_from_peer(frames: Frames) -> tuple[FromPeer, Frames]:
    """What a peer said to the host; a :class:`ProtocolError` for anything that is not in the protocol."""
    return _unpack(_from_peer, frames)


def unpack_from_host(frames: Frames) -> tuple[FromHost, Frames]:
    """What the host said to a peer; a :class:`ProtocolError` for anything that is not in the protocol."""
    return _unpack(_from_host, frames)


def _unpack(decoder: msgspec.msgpack.Decoder[Any], frames: Frames) -> tuple[Any, Frames]:
    if not frames:
        raise ProtocolError("A message without a header came in.")
    try:
        return decoder.decode(frames[0]), frames[1:]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(
            f"A message that is not in the protocol came in: {error}.",
            hint="Both sides must have the same version of dspex_lab: stop the host with %lab stop.",
        ) from error
