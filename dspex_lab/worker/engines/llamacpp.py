"""Local models inside this process, decoded under the request's JSON schema. Used in the ``neural`` pool.

Models are loaded on first use, once, and stay until the engine is closed. Generations run on threads of their own,
one for each slot; what waits for a slot waits in line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dspex_lab.calls import LmReply, LmRequest, Usage
from dspex_lab.errors import DeadlineExceeded, ModelError
from dspex_lab.worker.engines.base import OnText
from dspex_lab.worker.engines.bounds import bounded_schema
from dspex_lab.worker.engines.generation import Generation, ModelServer, Outcome
from dspex_lab.worker.engines.llama_server import LlamaServer
from dspex_lab.worker.engines.local_models import find_local_model, require_xllamacpp

__all__ = ["DEFAULT_MAX_TOKENS", "LlamaCppEngine"]

DEFAULT_MAX_TOKENS = 512
#: English text has some four characters a token; three leave room for the JSON around them.
_CHARS_PER_TOKEN = 3
#: A slight penalty ends the loops that a small model falls into; 1.1 and more makes it write nonsense.
_DEFAULTS: Mapping[str, Any] = {"temperature": 0.0, "repeat_penalty": 1.05}
_OPTIONS = frozenset(
    {"top_p", "top_k", "min_p", "stop", "seed", "frequency_penalty", "presence_penalty", "repeat_penalty"}
)


class LlamaCppEngine:
    """Answers ``local/NAME``. ``slots`` generate at once and share ``context_tokens`` of memory per model."""

    def __init__(self, *, model_dir: Path | None = None, slots: int = 8, context_tokens: int = 12_288) -> None:
        self._model_dir = model_dir
        self._slots = slots
        self._context_tokens = context_tokens
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="dspex-llama")
        self._servers: dict[Path, asyncio.Task[ModelServer]] = {}
        self._generations: set[Generation] = set()
        self._is_closed = False

    async def complete(self, request: LmRequest, on_text: OnText | None = None) -> LmReply:
        if self._is_closed:
            raise ModelError("The engine of local models is closed.", request.lm.model)
        path = self._find(request.lm.model)
        try:
            async with asyncio.timeout(request.lm.timeout_s) as limit:
                return await self._generate(await self._server(path), request, on_text)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise DeadlineExceeded(
                f"{request.lm.model} did not finish within {request.lm.timeout_s:g} s.",
                hint="Ask for fewer tokens (max_tokens), or allow more time.",
            ) from error

    async def load(self, model: str) -> None:
        """Have ``model`` in memory before anybody asks it. Raises ``ModelError``."""
        await self._server(self._find(model))

    def _find(self, model: str) -> Path:
        """The model's file; a ``ModelError`` when it, or the package that runs it, is missing."""
        path = find_local_model(model, self._model_dir)
        require_xllamacpp(model)
        return path

    async def _server(self, path: Path) -> ModelServer:
        """The loaded model; callers that come while it loads wait for the same load, even if the first one leaves."""
        task = self._servers.get(path)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(asyncio.to_thread(self._load, path))
            self._servers[path] = task
        return await asyncio.shield(task)

    def _load(self, path: Path) -> ModelServer:
        return LlamaServer(path, slots=self._slots, context_tokens=self._context_tokens)

    async def _generate(self, server: ModelServer, request: LmRequest, on_text: OnText | None) -> LmReply:
        generation = Generation(server.generate, _body(request), is_json=request.response_schema is not None)
        self._generations.add(generation)
        work = self._threads.submit(generation.run)
        work.add_done_callback(lambda _: self._generations.discard(generation))
        pieces: list[str] = []
        try:
            async for piece in generation.pieces():
                pieces.append(piece)
                if on_text is not None:
                    await on_text(piece)
        except BaseException:
            generation.stop()
            work.cancel()  # one that still waits for a slot never starts
            raise
        return _reply(request, "".join(pieces), generation)

    async def aclose(self) -> None:
        self._is_closed = True
        for generation in tuple(self._generations):
            generation.stop()
        servers = [task for task in self._servers.values() if not task.cancelled()]
        self._servers.clear()
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        for server in await asyncio.gather(*servers, return_exceptions=True):
            if not isinstance(server, BaseException):
                await asyncio.to_thread(server.close)

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "open"
        return f"<{type(self).__name__} [{state}, models: {len(self._servers)}, generations: {len(self._generations)}]>"


def _body(request: LmRequest) -> dict[str, Any]:
    max_tokens = request.lm.max_tokens or DEFAULT_MAX_TOKENS
    body = {**_DEFAULTS, **{key: value for key, value in request.options.items() if key in _OPTIONS}}
    body["messages"] = [dict(message) for message in request.messages]
    body["max_tokens"] = max_tokens
    if request.lm.temperature is not None:
        body["temperature"] = request.lm.temperature
    if request.response_schema is not None:
        schema = bounded_schema(request.response_schema, max_chars=max_tokens * _CHARS_PER_TOKEN)
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "outputs", "schema": schema}}
    return body


def _reply(request: LmRequest, text: str, generation: Generation) -> LmReply:
    outcome = generation.outcome
    if outcome.error is not None:
        raise _model_error(request, outcome) from (outcome.error if isinstance(outcome.error, Exception) else None)
    if request.response_schema is not None and not generation.is_json_complete:
        raise ModelError(
            f"The reply of {request.lm.model} was cut after {outcome.output_tokens} tokens, with its JSON unfinished.",
            request.lm.model,
            hint="Raise max_tokens, or ask for shorter fields.",
            retryable=True,
        )
    usage = Usage(outcome.input_tokens, outcome.output_tokens, cost=0.0, lm_calls=1)
    return LmReply(text, request.lm.model, outcome.finish_reason, usage, outcome.first_token_s, outcome.tokens_per_s)


def _model_error(request: LmRequest, outcome: Outcome) -> ModelError:
    model, error = request.lm.model, outcome.error
    if isinstance(error, Mapping) and error.get("type") == "exceed_context_size_error":
        return ModelError(
            f"The prompt is {error.get('n_prompt_tokens')} tokens long; {model} takes {error.get('n_ctx')}.",
            model,
            413,
            hint="Shorten the inputs, or use a model with a longer context.",
        )
    if isinstance(error, Mapping):
        status = int(error.get("code", 500))
        return ModelError(f"{model} refused: {error.get('message')}.", model, status, retryable=status >= 500)
    return ModelError(f"{model} cannot answer this: {str(error).splitlines()[0]}.", model, 400)
