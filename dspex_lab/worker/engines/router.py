"""Chooses the engine for a model. One :class:`EngineSet` per worker process, made when it is first needed."""

from __future__ import annotations

import asyncio
import os
import weakref
from pathlib import Path

from dspex_lab.calls import LmReply, LmRequest, LmSpec
from dspex_lab.worker.context import OpContext
from dspex_lab.worker.engines.base import Engine, LoadingEngine, OnText
from dspex_lab.worker.engines.local_models import is_model_folder
from dspex_lab.worker.engines.pool import PoolEngine
from dspex_lab.worker.engines.span_values import reply_attributes, request_attributes

__all__ = ["EngineSet", "close_engines", "engine_kind", "engines_from_environment", "engines_of", "install_engines"]

#: Providers whose endpoints speak OpenAI's form; with an ``api_base`` they need no LiteLLM.
_OPENAI_FORM = frozenset({"openai", "hosted_vllm", "vllm", "lm_studio", "llamafile", "openai_like", "custom_openai"})


class EngineSet:
    """The engines of one worker, each made on first use. Everything here runs on the services loop.

    ``serves_local``: local models run in this process whoever asks (the ``neural`` pool); otherwise only
    :meth:`serve` runs them here, and :meth:`complete` asks the pool. ``local_engine`` is "llamacpp", "transformers",
    or "auto": a folder goes to transformers, a GGUF file to llama.cpp.
    """

    def __init__(
        self, *, serves_local: bool = False, model_dir: Path | None = None, local_engine: str = "auto"
    ) -> None:
        self.serves_local = serves_local
        self._local_engine = local_engine
        self._model_dir = model_dir
        self._engines: dict[str, Engine] = {}

    async def complete(self, request: LmRequest, context: OpContext, on_text: OnText | None = None) -> LmReply:
        """Answer for the operation ``context``, by a nested call when the model is another worker's."""
        if request.lm.is_local and not self.serves_local:
            return await PoolEngine.of(context).complete(request, on_text)
        return await self.serve(request, on_text, context=context)

    async def serve(
        self, request: LmRequest, on_text: OnText | None = None, *, context: OpContext | None = None
    ) -> LmReply:
        """Answer in this process: one attempt, and a span of its own where the operation ``context`` is traced."""
        engine = self._engine(self._kind(request.lm))
        if context is None or context.trace is None:
            return await engine.complete(request, on_text)
        with context.span(f"chat {request.lm.model}", request_attributes(request)) as span:
            reply = await engine.complete(request, on_text)
            span.set(reply_attributes(reply))
            return reply

    async def load(self, lm: LmSpec) -> None:
        """Have a local model of this process ready before anybody asks it; nothing to do for another's."""
        engine = self._engine(self._kind(lm)) if lm.is_local and self.serves_local else None
        if isinstance(engine, LoadingEngine):
            await engine.load(lm.model)

    def put(self, kind: str, engine: Engine) -> None:
        """Use ``engine`` for ``kind`` ("llamacpp", "transformers", "openai", "litellm"): for tests and engines of
        one's own."""
        self._engines[kind] = engine

    def _kind(self, lm: LmSpec) -> str:
        if not lm.is_local or self._local_engine == "llamacpp":
            return engine_kind(lm)
        if self._local_engine == "transformers" or is_model_folder(lm.model, self._model_dir):
            return "transformers"
        return engine_kind(lm)

    def _engine(self, kind: str) -> Engine:
        engine = self._engines.get(kind)
        if engine is None:
            engine = self._engines[kind] = self._made(kind)
        return engine

    def _made(self, kind: str) -> Engine:
        # Each engine's own package is heavy, and most workers need but one of them.
        if kind == "llamacpp":
            from dspex_lab.worker.engines.llamacpp import LlamaCppEngine

            return LlamaCppEngine(model_dir=self._model_dir)
        if kind == "transformers":
            from dspex_lab.worker.engines.transformers import TransformersEngine

            return TransformersEngine(model_dir=self._model_dir)
        if kind == "openai":
            from dspex_lab.worker.engines.openai import OpenAiEngine

            return OpenAiEngine()
        from dspex_lab.worker.engines.litellm import LiteLlmEngine

        return LiteLlmEngine()

    async def aclose(self) -> None:
        engines = list(self._engines.values())
        self._engines.clear()
        for engine in engines:
            await engine.aclose()

    def __repr__(self) -> str:
        return f"<EngineSet [{', '.join(sorted(self._engines)) or 'no engine yet'}]>"


def engine_kind(lm: LmSpec) -> str:
    """Which engine answers ``lm`` unless it is a local model of another kind: "llamacpp", "openai" or "litellm"."""
    if lm.is_local:
        return "llamacpp"
    provider = lm.model.partition("/")[0]
    if provider == "openai" or (lm.api_base is not None and provider in _OPENAI_FORM):
        return "openai"
    return "litellm"


_SETS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, EngineSet] = weakref.WeakKeyDictionary()


def engines_of(loop: asyncio.AbstractEventLoop) -> EngineSet:
    """The engines that live on ``loop``; made with the defaults when none were installed."""
    engines = _SETS.get(loop)
    if engines is None:
        engines = _SETS[loop] = engines_from_environment()
    return engines


def engines_from_environment(*, serves_local: bool = False) -> EngineSet:
    """The engines as the settings that the host gave this worker say."""
    folder = os.environ.get("DSPEX_LAB_MODEL_DIR")
    return EngineSet(
        serves_local=serves_local,
        model_dir=Path(folder) if folder else None,
        local_engine=os.environ.get("DSPEX_LAB_LOCAL_ENGINE", "auto"),
    )


def install_engines(loop: asyncio.AbstractEventLoop, engines: EngineSet) -> None:
    """Make ``engines`` those of ``loop``; the worker does so at its start when its pool serves local models."""
    _SETS[loop] = engines


async def close_engines() -> None:
    """Close the engines of the running loop, if any were made."""
    engines = _SETS.pop(asyncio.get_running_loop(), None)
    if engines is not None:
        await engines.aclose()
