"""Operations about the session that a worker serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dspex_lab.errors import LabError, ProtocolError
from dspex_lab.wire.codec import decode, encode
from dspex_lab.worker.context import OpContext
from dspex_lab.worker.ops.base import operation

__all__ = ["state"]


@operation("session.state")
def state(context: OpContext) -> dict[str, Any]:
    """The part of the session's state that can travel: what is kept under a text and is plain data."""
    if context.session_state is None:
        raise ProtocolError("The state is asked for within a session.")
    found: Mapping[Any, Any] = dict(context.session_state)
    return {key: value for key, value in found.items() if isinstance(key, str) and _can_travel(value)}


def _can_travel(value: Any) -> bool:
    try:
        decode(encode(value))  # what is refused at the other end would take the rest along
    except LabError:
        return False
    return True
