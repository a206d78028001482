"""Which engine answers which model."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dspex_lab.calls import Call, LmReply, LmRequest, LmSpec
from dspex_lab.testing.language_model import FakeLanguageModel
from dspex_lab.worker.context import NestedCall, OpContext
from dspex_lab.worker.engines import EngineSet, close_engines, engine_kind, engines_of, install_engines


@pytest.mark.parametrize(
    ("model", "api_base", "kind"),
    [
        ("local/smollm2-135m", None, "llamacpp"),
        ("openai/gpt-4o-mini", None, "openai"),
        ("openai/anything", "http://localhost:8000/v1", "openai"),
        ("hosted_vllm/qwen", "http://localhost:8000/v1", "openai"),
        ("hosted_vllm/qwen", None, "litellm"),
        ("anthropic/claude", None, "litellm"),
        ("anthropic/claude", "http://localhost:8000", "litellm"),
        ("gpt-4o", None, "litellm"),
    ],
)
def test_the_provider_chooses(model: str, api_base: str | None, kind: str) -> None:
    """Local models, OpenAI's form where it is sure, LiteLLM for the rest."""
    assert engine_kind(LmSpec(model, api_base=api_base)) == kind


def request(model: str) -> LmRequest:
    return LmRequest(LmSpec(model), ({"role": "user", "content": "hello"},))


def context_with(calls: list[Call]) -> OpContext:
    class Answered:
        def cancel(self) -> None:
            pass

        async def result(self) -> object:
            from dspex_lab.calls import Result

            return Result("id", {"text": "from the pool", "model": "local/model", "finish_reason": "stop"})

    def submit(call: Call) -> NestedCall:
        calls.append(call)
        return Answered()  # type: ignore[return-value]

    async def emit(field: str, text: str) -> None:
        pass

    return OpContext("id", "op", False, emit, submit, asyncio.get_running_loop())


async def test_a_local_model_is_asked_of_the_pool() -> None:
    """Outside the neural pool a local model costs a nested call, streaming only when somebody reads."""
    calls: list[Call] = []
    reply = await EngineSet().complete(request("local/model"), context_with(calls))
    assert reply == LmReply("from the pool", "local/model", "stop")
    assert [(call.op, call.pool, call.stream, call.idempotent) for call in calls] == [
        ("lm.complete", "neural", False, True)
    ]


async def test_the_neural_pool_answers_itself() -> None:
    """A worker that serves local models makes no call to its own pool."""
    calls: list[Call] = []
    fake = FakeLanguageModel()
    engines = EngineSet(serves_local=True)
    engines.put("llamacpp", fake)
    await engines.complete(request("local/model"), context_with(calls))
    assert not calls
    assert len(fake.requests) == 1


class _Loading(FakeLanguageModel):
    """A model that takes its time to load."""

    loaded: tuple[str, ...] = ()

    async def load(self, model: str) -> None:
        self.loaded += (model,)


@pytest.mark.parametrize(
    ("serves_local", "model", "loaded"),
    [(True, "local/model", ("local/model",)), (True, "openai/gpt", ()), (False, "local/model", ())],
)
async def test_a_local_model_is_loaded_where_it_is_served(
    serves_local: bool, model: str, loaded: tuple[str, ...]
) -> None:
    """A model of another process or provider is no business of these engines."""
    fake = _Loading()
    engines = EngineSet(serves_local=serves_local)
    for kind in ("llamacpp", "openai"):
        engines.put(kind, fake)
    await engines.load(LmSpec(model))
    assert fake.loaded == loaded


async def test_an_engine_that_loads_nothing_is_always_ready() -> None:
    """Loading is what some engines do, not all."""
    engines = EngineSet(serves_local=True)
    engines.put("llamacpp", FakeLanguageModel())
    await engines.load(LmSpec("local/model"))


async def test_there_is_one_set_for_a_loop() -> None:
    """The set is made once and closed with its engines."""
    loop = asyncio.get_running_loop()
    fake = FakeLanguageModel()
    engines = EngineSet()
    engines.put("openai", fake)
    install_engines(loop, engines)
    assert engines_of(loop) is engines
    await close_engines()
    assert fake.is_closed
    await close_engines()


@pytest.mark.parametrize(
    ("model", "local_engine", "kind"),
    [
        ("local/big", "auto", "transformers"),
        ("local/small", "auto", "llamacpp"),
        ("local/small", "transformers", "transformers"),
        ("local/big", "llamacpp", "llamacpp"),
        ("openai/gpt", "transformers", "openai"),
    ],
)
async def test_a_local_model_s_engine_can_be_chosen(tmp_path: Path, model: str, local_engine: str, kind: str) -> None:
    """Left to itself, a folder goes to transformers and a file to llama.cpp; the setting decides otherwise."""
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "config.json").touch()
    (tmp_path / "small.gguf").touch()
    engines = EngineSet(model_dir=tmp_path, local_engine=local_engine)
    fakes = {name: FakeLanguageModel() for name in ("llamacpp", "transformers", "openai")}
    for name, fake in fakes.items():
        engines.put(name, fake)
    await engines.serve(request(model))
    assert [name for name, fake in fakes.items() if fake.requests] == [kind]
