"""What every language-model engine promises, whoever answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dspex_lab.calls import Call, Chunk, LmReply, LmRequest, LmSpec, Result
from dspex_lab.errors import DeadlineExceeded, ModelError
from dspex_lab.testing.language_model import FakeLanguageModel
from dspex_lab.testing.openai_server import OpenAiServer
from dspex_lab.testing.scripted_answers import Behaviour
from dspex_lab.worker.engines.base import Engine
from dspex_lab.worker.engines.local_models import find_local_model
from dspex_lab.worker.engines.pool import PoolEngine

SCHEMA = {
    "type": "object",
    "properties": {
        "mood": {"enum": ["calm", "angry"]},
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "why": {"type": "string"},
    },
    "required": ["mood", "stars", "why"],
    "additionalProperties": False,
}


@dataclass
class Subject:
    """An engine, a model that it has, one that it has not, and how to make it slow."""

    engine: Engine
    lm: LmSpec
    missing: LmSpec
    server: OpenAiServer | None = None
    fake: FakeLanguageModel | None = None

    def be_slow(self) -> LmRequest:
        """Make the next answers slow; a request that is answered slowly."""
        if self.server is not None:
            self.server.behaviour = Behaviour(latency_s=5)
        if self.fake is not None:
            self.fake._delay_s = 5
        return self.ask("Tell me a very long story about the sea, with many chapters.")

    def be_quick(self) -> None:
        if self.server is not None:
            self.server.behaviour = Behaviour()
        if self.fake is not None:
            self.fake._delay_s = 0

    def ask(self, text: str, **changes: Any) -> LmRequest:
        return LmRequest(self.lm, ({"role": "user", "content": text},), **changes)


class LocalCall:
    """A nested call that is answered here, by ``engine``."""

    def __init__(self, call: Call, engine: Engine) -> None:
        self._chunks: asyncio.Queue[Chunk | None] = asyncio.Queue(1)
        self._task = asyncio.ensure_future(self._run(call, engine))

    async def _run(self, call: Call, engine: Engine) -> Result:
        async def show(text: str) -> None:
            await self._chunks.put(Chunk(call.id, 0, text))

        try:
            request = msgspec.convert(call.args["request"], LmRequest)
            reply = await engine.complete(request, show if call.stream else None)
        finally:
            if call.stream and not self._chunks.full():
                self._chunks.put_nowait(None)
        return Result(call.id, msgspec.to_builtins(reply), reply.usage)

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        while not (self._task.done() and self._chunks.empty()):
            getting = asyncio.ensure_future(self._chunks.get())
            await asyncio.wait({getting, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                getting.cancel()
                continue
            chunk = getting.result()
            if chunk is not None:
                yield chunk

    async def result(self) -> Result:
        return await self._task

    def cancel(self) -> None:
        self._task.cancel()


#: LiteLLM warns of its own types, and leaves clients of its own open.
QUIET = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(
    params=[
        "fake",
        "openai",
        "pool",
        pytest.param("litellm", marks=QUIET),
        pytest.param("llamacpp", marks=pytest.mark.model),
        pytest.param("transformers", marks=[*QUIET, pytest.mark.model]),
    ]
)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    needs = (request.getfixturevalue("unpacked_model"),) if request.param == "transformers" else ()
    async for made in SUBJECTS[request.param](*needs):
        yield made
        await made.engine.aclose()


async def _fake() -> AsyncIterator[Subject]:
    fake = FakeLanguageModel(missing=frozenset({"fake/missing"}))
    yield Subject(fake, LmSpec("fake/model"), LmSpec("fake/missing"), fake=fake)


async def _pool() -> AsyncIterator[Subject]:
    fake = FakeLanguageModel(missing=frozenset({"local/missing"}))
    engine = PoolEngine(lambda call: LocalCall(call, fake))
    yield Subject(engine, LmSpec("local/model"), LmSpec("local/missing"), fake=fake)


async def _openai() -> AsyncIterator[Subject]:
    from dspex_lab.worker.engines.openai import OpenAiEngine

    with OpenAiServer() as server:
        lm = LmSpec("openai/model", api_base=server.api_base, api_key="key")
        yield Subject(OpenAiEngine(), lm, replace(lm, model="openai/missing"), server)


async def _litellm() -> AsyncIterator[Subject]:
    from dspex_lab.worker.engines.litellm import LiteLlmEngine

    with OpenAiServer() as server:
        lm = LmSpec("openai/model", api_base=server.api_base, api_key="key")
        yield Subject(LiteLlmEngine(), lm, replace(lm, model="openai/missing"), server)


async def _llamacpp() -> AsyncIterator[Subject]:
    from dspex_lab.worker.engines.llamacpp import LlamaCppEngine

    lm = LmSpec("local/smollm2-135m", max_tokens=200)
    yield Subject(LlamaCppEngine(slots=4, context_tokens=4096), lm, LmSpec("local/missing"))


@pytest.fixture(scope="session")
def unpacked_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundled model as transformers keeps it; to unpack the GGUF file takes its time."""
    pytest.importorskip("torch", reason="make test-transformers installs the extra, 2 GB, and runs these")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file, folder = find_local_model("local/smollm2-135m"), tmp_path_factory.mktemp("models") / "small"
    AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(str(file.parent), gguf_file=file.name, dtype="float32")
    # Its weights are plain numbers now, and only what says where they came from hinders saving.
    model.hf_quantizer = None
    del model.config.quantization_config
    model.save_pretrained(folder)
    return folder


async def _transformers(folder: Path) -> AsyncIterator[Subject]:
    from dspex_lab.worker.engines.transformers import TransformersEngine

    lm = LmSpec(f"local/{folder.name}", max_tokens=120)
    yield Subject(TransformersEngine(slots=4, model_dir=folder.parent), lm, LmSpec("local/missing"))


SUBJECTS: dict[str, Callable[..., AsyncIterator[Subject]]] = {
    "fake": _fake,
    "openai": _openai,
    "litellm": _litellm,
    "pool": _pool,
    "llamacpp": _llamacpp,
    "transformers": _transformers,
}


async def test_a_reply_says_what_it_used(subject: Subject) -> None:
    """The text is there, with tokens counted, one call counted, and why it ended."""
    reply = await subject.engine.complete(subject.ask("Say hello."))
    assert isinstance(reply, LmReply)
    assert reply.text
    assert reply.model == subject.lm.model
    assert reply.finish_reason == "stop"
    assert reply.usage.input_tokens > 0
    assert reply.usage.output_tokens > 0
    assert reply.usage.lm_calls == 1


async def test_the_pieces_add_up_to_the_text(subject: Subject) -> None:
    """Streamed pieces, joined, are the reply's text, and there is more than one."""
    pieces: list[str] = []

    async def keep(text: str) -> None:
        pieces.append(text)

    reply = await subject.engine.complete(subject.ask("Count from one to five."), keep)
    assert "".join(pieces) == reply.text
    assert len(pieces) > 1


@pytest.mark.parametrize("is_streaming", [False, True])
async def test_a_schema_holds(subject: Subject, is_streaming: bool) -> None:
    """The reply is JSON with the fields, types and bounds of the schema."""

    async def ignore(text: str) -> None:
        pass

    request = subject.ask("I waited two hours for cold food!", response_schema=SCHEMA)
    reply = await subject.engine.complete(request, ignore if is_streaming else None)
    answer = json.loads(reply.text)
    assert list(answer) == ["mood", "stars", "why"]
    assert answer["mood"] in ("calm", "angry")
    assert 1 <= answer["stars"] <= 5
    assert isinstance(answer["why"], str)


async def test_a_reader_that_raises_stops_the_answer(subject: Subject) -> None:
    """What ``on_text`` raises comes out, and the engine goes on serving."""

    async def refuse(text: str) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError):
        await subject.engine.complete(subject.ask("Count to one hundred."), refuse)
    assert (await subject.engine.complete(subject.ask("Say hello."))).text


async def test_a_cancelled_request_ends_at_once(subject: Subject) -> None:
    """Cancelling the task ends it within a second, and the engine goes on serving."""
    task = asyncio.create_task(subject.engine.complete(subject.be_slow()))
    await asyncio.wait({task}, timeout=0.2)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 1.0)
    subject.be_quick()
    assert (await subject.engine.complete(subject.ask("Say hello."))).text


async def test_the_time_limit_holds(subject: Subject) -> None:
    """A request that takes longer than its ``timeout_s`` raises DeadlineExceeded."""
    request = subject.be_slow()
    with pytest.raises(DeadlineExceeded):
        await subject.engine.complete(replace(request, lm=replace(subject.lm, timeout_s=0.15)))


async def test_a_model_that_is_not_there_is_told(subject: Subject) -> None:
    """A ModelError with a hint, which trying again would not mend."""
    if subject.server is not None:
        subject.server.play(Behaviour(status=404, message="no such model"))
    with pytest.raises(ModelError) as caught:
        await subject.engine.complete(replace(subject.ask("hello"), lm=subject.missing))
    assert not caught.value.retryable
    assert caught.value.hint


async def test_requests_run_side_by_side(subject: Subject) -> None:
    """Many requests at once are all answered."""
    requests = [subject.ask(f"Say {word}.") for word in ("one", "two", "three", "four", "five", "six")]
    replies = await asyncio.gather(*map(subject.engine.complete, requests))
    assert all(reply.text for reply in replies)


async def test_closing_twice_is_safe(subject: Subject) -> None:
    """A closed engine can be closed again."""
    await subject.engine.aclose()
    await subject.engine.aclose()
