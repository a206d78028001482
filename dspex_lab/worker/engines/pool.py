"""Local models from any other worker: each request is a call to the ``neural`` pool, scheduled like every other."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dspex_lab.calls import Call, LmReply, LmRequest, TraceContext
from dspex_lab.telemetry import current_trace
from dspex_lab.worker.context import NestedCall, OpContext
from dspex_lab.worker.engines.base import OnText

__all__ = ["LM_COMPLETE", "LM_LOAD", "NEURAL_POOL", "PoolEngine"]

NEURAL_POOL = "neural"
LM_COMPLETE = "lm.complete"
LM_LOAD = "lm.load"


class PoolEngine:
    """Answers through ``submit``, on behalf of the operation whose ``trace`` it is given."""

    def __init__(self, submit: Callable[[Call], NestedCall], *, trace: TraceContext | None = None) -> None:
        self._submit = submit
        self._trace = trace

    @classmethod
    def of(cls, context: OpContext) -> PoolEngine:
        """The engine for the operation ``context``: its nested calls hang in its trace."""
        return cls(context.submit, trace=current_trace() or context.trace)

    async def complete(self, request: LmRequest, on_text: OnText | None = None) -> LmReply:
        pending = self._submit(
            Call(
                LM_COMPLETE,
                {"request": msgspec.to_builtins(request)},
                pool=NEURAL_POOL,
                timeout_s=request.lm.timeout_s,
                trace=self._trace,
                stream=on_text is not None,
                idempotent=True,
            )
        )
        try:
            if on_text is not None:
                async for chunk in pending:
                    await on_text(chunk.text)
            result = await pending.result()
        except BaseException:
            pending.cancel()
            raise
        return msgspec.convert(result.value, LmReply)

    async def aclose(self) -> None:
        """Nothing is held here."""
