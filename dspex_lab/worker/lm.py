"""DSPy's language model over our engines: ``dspy.LM(engine=, async_engine=)``. Imports DSPy.

The engines live on the services loop; DSPy calls the bridges on the main thread, on the main loop or on threads of
its own. What a streaming operation shows is forwarded here, from the model's raw text, field by field: DSPy's own
streaming needs listeners that are wired per program and per run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import asdict, replace
from typing import Any, Literal

import dspy
from dspy import lm15
from dspy.utils.callback import BaseCallback

from dspex_lab.calls import LmReply, LmRequest, LmSpec
from dspex_lab.errors import ConfigurationError, ModelError
from dspex_lab.signatures import FieldStream
from dspex_lab.worker.context import OpContext, current_context
from dspex_lab.worker.engines.base import OnText
from dspex_lab.worker.engines.router import engines_of
from dspex_lab.worker.lm_values import foreign_error, to_lm_request, to_response

__all__ = ["AsyncBridge", "Bridge", "SignatureWatch", "SyncBridge", "build_lm"]

_current_signature: ContextVar[Any] = ContextVar("dspex_lab_current_signature", default=None)
_STREAM_PIECES = 32


class SignatureWatch(BaseCallback):  # type: ignore[misc]  # DSPy publishes no types: its classes are Any to mypy
    """Keeps the signature of the predictor that is about to ask: the callback of every ``dspy.context`` here."""

    def on_adapter_format_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        _current_signature.set(inputs.get("signature"))


def build_lm(spec: LmSpec) -> Any:
    """A ``dspy.LM`` for ``spec``. Make it inside the operation that uses it: DSPy's threads do not inherit contexts.

    DSPy's own cache is off, for it would take two endpoints of one model name for the same; retries are the router's.
    """
    context = current_context.get()
    return dspy.LM(
        spec.model,
        engine=SyncBridge(spec, context),
        async_engine=AsyncBridge(spec, context),
        cache=False,
        num_retries=0,
    )


class Bridge:
    """What both bridges share: the declared abilities, and one question asked on the services loop."""

    supports_function_calling = False  # tools are described in the text, which every model can read
    supports_reasoning = False
    supports_response_schema = True
    supported_params = frozenset({"temperature", "max_tokens", "top_p", "stop", "seed", "response_format"})

    def __init__(self, spec: LmSpec, context: OpContext | None = None) -> None:
        self._spec = spec
        self._built_in = context

    def __deepcopy__(self, _memo: dict[int, Any]) -> Bridge:
        return self  # optimizers copy programs with their models; the running operation stays one

    def dump_state(self) -> dict[str, Any]:
        """What a saved program needs to make the engine again: no key."""
        return asdict(replace(self._spec, api_key=None))

    @classmethod
    def load_state(cls, state: Mapping[str, Any]) -> Bridge:
        """The inverse of :meth:`dump_state`, for the operation that is running."""
        return cls(LmSpec(**state), current_context.get())

    def _context(self) -> OpContext:
        context = current_context.get() or self._built_in
        if context is None:
            raise ConfigurationError(
                "This language model works inside a worker's operation only.", "lm", "a running operation", "none"
            )
        return context

    def _request(self, request: Any, context: OpContext) -> LmRequest:
        return to_lm_request(request, self._spec, signature=_current_signature.get(), deadline=context.deadline)

    def _start(self, request: Any, on_text: OnText | None = None) -> tuple[OpContext, Future[LmReply]]:
        context = self._context()
        asked = self._request(request, context)
        return context, context.on_services(_ask(context, asked, _current_signature.get(), on_text))


class SyncBridge(Bridge):
    """For DSPy's synchronous calls. Waiting for an answer ends with an interrupt, and so does the answer."""

    def complete(self, request: Any) -> Any:
        _, answer = self._start(request)
        with _cancelled_on_error(answer):
            return to_response(answer.result())

    def stream(self, request: Any) -> Iterator[Any]:
        pieces: asyncio.Queue[str | None] = asyncio.Queue(_STREAM_PIECES)
        context, answer = self._start(request, pieces.put)
        end = context.on_services(_mark_end(answer, pieces))
        with _cancelled_on_error(answer, end):
            yield lm15.StreamStartEvent(model=self._spec.model)
            while (text := context.on_services(pieces.get()).result()) is not None:
                yield _delta(text)
            yield _end(answer.result())

    def close(self) -> None:
        """Engines belong to the worker."""


class AsyncBridge(Bridge):
    """For DSPy's asynchronous calls. Cancelling the task stops the model."""

    async def complete(self, request: Any) -> Any:
        _, answer = self._start(request)
        with _cancelled_on_error(answer):
            return to_response(await asyncio.wrap_future(answer))

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        pieces: asyncio.Queue[str | None] = asyncio.Queue(_STREAM_PIECES)
        context, answer = self._start(request, pieces.put)
        end = context.on_services(_mark_end(answer, pieces))
        with _cancelled_on_error(answer, end):
            yield lm15.StreamStartEvent(model=self._spec.model)
            while (text := await asyncio.wrap_future(context.on_services(pieces.get()))) is not None:
                yield _delta(text)
            yield _end(await asyncio.wrap_future(answer))

    async def aclose(self) -> None:
        """Engines belong to the worker."""


@contextlib.contextmanager
def _cancelled_on_error(*futures: Future[Any]) -> Iterator[None]:
    """Whatever ends the block early (an interrupt, a cancel, a reader that leaves) ends the work as well."""
    try:
        yield
    except ModelError as error:
        raise foreign_error(error) from error
    finally:
        for future in futures:
            future.cancel()


async def _ask(context: OpContext, request: LmRequest, signature: Any, on_text: OnText | None) -> LmReply:
    """Ask the engine and count what it used; on the services loop."""
    shown = _Shown(context, request, signature) if context.is_streaming else None
    readers = [read for read in (on_text, shown.show if shown else None) if read is not None]

    async def tell(text: str) -> None:
        for read in readers:
            await read(text)

    reply = await engines_of(context.services).complete(request, context, tell if readers else None)
    if shown is not None:
        await shown.close()
    context.add_usage(reply.usage)
    return reply


async def _mark_end(answer: Future[LmReply], pieces: asyncio.Queue[str | None]) -> None:
    with contextlib.suppress(Exception):  # the reader meets it when it asks for the answer
        await asyncio.wrap_future(answer)
    await pieces.put(None)


class _Shown:
    """What the reader of the operation sees of one answer: the predictor's fields, or the text where there are none."""

    def __init__(self, context: OpContext, request: LmRequest, signature: Any) -> None:
        self._context = context
        names = list(signature.output_fields) if signature is not None else []
        form: Literal["json", "chat"] = "json" if request.response_schema is not None else "chat"
        self._fields = FieldStream(names, form) if names else None

    async def show(self, text: str) -> None:
        await self._emit([("", text)] if self._fields is None else self._fields.feed(text))

    async def close(self) -> None:
        if self._fields is not None:
            await self._emit(self._fields.close())

    async def _emit(self, pieces: list[tuple[str, str]]) -> None:
        for name, text in pieces:
            await self._context.emit(name, text)


def _delta(text: str) -> Any:
    return lm15.StreamDeltaEvent(lm15.TextDelta(text))


def _end(reply: LmReply) -> Any:
    response = to_response(reply)
    return lm15.StreamEndEvent(response.finish_reason, response.usage, response.provider_data)
