"""One question to a language model, answered in this process; and a model made ready for questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from dspex_lab.calls import LmRequest, LmSpec
from dspex_lab.errors import ProtocolError
from dspex_lab.worker.context import OpContext
from dspex_lab.worker.engines.pool import LM_COMPLETE, LM_LOAD
from dspex_lab.worker.engines.router import engines_of
from dspex_lab.worker.ops.base import operation

__all__ = ["complete", "load"]


@operation(LM_COMPLETE, runs_on="services")
async def complete(context: OpContext, *, request: Mapping[str, Any]) -> Any:
    """Answer ``request`` (an LmRequest as plain data); the value is an LmReply as plain data, its text the stream."""
    try:
        asked = msgspec.convert(request, LmRequest)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"This is no request to a language model: {error}.") from error

    async def show(text: str) -> None:
        await context.emit("", text)

    reply = await engines_of(context.services).serve(asked, show if context.is_streaming else None, context=context)
    context.add_usage(reply.usage)
    return msgspec.to_builtins(reply)


@operation(LM_LOAD, runs_on="services")
async def load(context: OpContext, *, model: str) -> None:
    """Load the local model ``model``, so that the first question need not wait for that."""
    await engines_of(context.services).load(LmSpec(model))
