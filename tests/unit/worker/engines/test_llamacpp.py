"""The engine of local models over a decoder that does as it is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from dspex_lab.calls import LmRequest, LmSpec
from dspex_lab.errors import ModelError
from dspex_lab.worker.engines import llamacpp
from dspex_lab.worker.engines.llama_server import LlamaServer
from dspex_lab.worker.engines.llamacpp import LlamaCppEngine
from dspex_lab.worker.engines.local_models import find_local_model

Take = Callable[[dict[str, Any]], bool]


@dataclass
class FakeDecoder:
    """Stands for a loaded model: gives ``chunks`` one by one, each when ``step`` allows it."""

    chunks: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None
    is_endless: bool = False
    bodies: list[Mapping[str, Any]] = field(default_factory=list)
    loads: int = 0
    taken: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    is_closed: bool = False

    def generate(self, body: Mapping[str, Any], take: Take) -> None:
        self.bodies.append(body)
        try:
            if self.error is not None:
                raise self.error
            while self.is_endless or self.taken < len(self.chunks):
                chunk = piece("word ") if self.is_endless else self.chunks[self.taken]
                self.taken += 1
                if take(chunk):
                    return
        finally:
            self.ended.set()

    def close(self) -> None:
        self.is_closed = True


def piece(text: str | None, *, finish: str | None = None, made: int = 1) -> dict[str, Any]:
    timings = {"cache_n": 3, "prompt_n": 4, "predicted_n": made, "predicted_per_second": 50.0}
    return {"choices": [{"delta": {"content": text}, "finish_reason": finish}], "timings": timings}


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> FakeDecoder:
    made = FakeDecoder()

    def load(_self: LlamaCppEngine, _path: Path) -> Any:
        made.loads += 1
        return made

    monkeypatch.setattr(LlamaCppEngine, "_load", load)
    monkeypatch.setattr(llamacpp, "find_local_model", lambda model, folder: Path("model.gguf"))
    monkeypatch.setattr(llamacpp, "require_xllamacpp", lambda model: None)
    return made


@pytest.fixture
async def engine(decoder: FakeDecoder) -> AsyncIterator[LlamaCppEngine]:
    made = LlamaCppEngine(slots=2)
    yield made
    await made.aclose()


def ask(**changes: Any) -> LmRequest:
    return LmRequest(LmSpec("local/model"), ({"role": "user", "content": "hello"},), **changes)


async def test_the_reply_has_the_decoder_s_own_figures(engine: LlamaCppEngine, decoder: FakeDecoder) -> None:
    """Tokens and speed are those that the decoder reported."""
    decoder.chunks = [piece("Hel"), piece("lo", made=2), piece(None, finish="stop", made=2)]
    reply = await engine.complete(ask())
    assert (reply.text, reply.finish_reason) == ("Hello", "stop")
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cost) == (7, 2, 0.0)
    assert reply.tokens_per_s == 50.0
    assert reply.first_token_s is not None


async def test_the_model_is_loaded_once(engine: LlamaCppEngine, decoder: FakeDecoder) -> None:
    """Requests that come while it loads wait for the same load."""
    await asyncio.gather(*(engine.complete(ask()) for _ in range(4)))
    assert decoder.loads == 1


async def test_whole_json_stops_the_decoder(engine: LlamaCppEngine, decoder: FakeDecoder) -> None:
    """What a grammar lets follow the last brace is not waited for."""
    decoder.chunks = [piece('{"a": 1}  '), piece("\n"), piece("\n")]
    reply = await engine.complete(ask(response_schema={"type": "object"}))
    assert reply.text == '{"a": 1}'
    assert decoder.taken == 1


async def test_json_that_was_cut_is_an_error(engine: LlamaCppEngine, decoder: FakeDecoder) -> None:
    """JSON that ran into max_tokens is told as such, and may be tried again."""
    decoder.chunks = [piece('{"a": "long'), piece(None, finish="length", made=9)]
    with pytest.raises(ModelError, match="cut after 9 tokens") as caught:
        await engine.complete(ask(response_schema={"type": "object"}))
    assert caught.value.retryable


async def test_a_prompt_that_is_too_long_is_told(engine: LlamaCppEngine, decoder: FakeDecoder) -> None:
    """The error names both lengths, and another try would not help."""
    error = {"type": "exceed_context_size_error", "code": 400, "n_prompt_tokens": 9000, "n_ctx": 2048}
    decoder.chunks = [{"error": error}]
    with pytest.raises(ModelError, match="9000 tokens long; local/model takes 2048") as caught:
        await engine.complete(ask())
    assert (caught.value.status, caught.value.retryable) == (413, False)


async def test_what_the_decoder_raises_is_mapped(engine: LlamaCppEngine, decoder: FakeDecoder) -> None:
    """A request that the decoder does not understand is a ModelError, with the cause kept."""
    decoder.error = ValueError("Expected 'messages' to be an array")
    with pytest.raises(ModelError, match="cannot answer this") as caught:
        await engine.complete(ask())
    assert isinstance(caught.value.__cause__, ValueError)


async def test_a_cancel_stops_the_decoder(engine: LlamaCppEngine, decoder: FakeDecoder) -> None:
    """The decoder's thread ends soon after the task, so its slot is free again."""
    decoder.is_endless = True
    started = asyncio.Event()

    async def note(text: str) -> None:
        started.set()

    task = asyncio.create_task(engine.complete(ask(), note))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(decoder.ended.wait, 1.0)


async def test_a_slow_reader_holds_the_decoder_s_thread(engine: LlamaCppEngine, decoder: FakeDecoder) -> None:
    """Pieces that nobody has read yet are bounded in number."""
    decoder.is_endless = True
    has_read = asyncio.Event()

    async def wait(text: str) -> None:
        has_read.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(engine.complete(ask(), wait))
    await has_read.wait()
    assert not await asyncio.to_thread(decoder.ended.wait, 0.1)
    assert decoder.taken < 40
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_closing_ends_what_is_under_way(decoder: FakeDecoder) -> None:
    """Closing stops the decoders first and then frees the model; later requests are refused."""
    engine = LlamaCppEngine(slots=1)
    decoder.is_endless = True
    started = asyncio.Event()

    async def note(text: str) -> None:
        started.set()

    task = asyncio.create_task(engine.complete(ask(), note))
    await started.wait()
    await engine.aclose()
    assert decoder.ended.is_set()
    await task
    with pytest.raises(ModelError, match="closed"):
        await engine.complete(ask())


async def test_a_model_that_was_loaded_before_is_not_loaded_again(engine: LlamaCppEngine, decoder: FakeDecoder) -> None:
    """The first question finds it ready, also when it comes while the model still loads."""
    await asyncio.gather(engine.load("local/model"), engine.complete(ask()), engine.load("local/model"))
    await engine.complete(ask())
    assert decoder.loads == 1


async def test_sampling_defaults_are_greedy(engine: LlamaCppEngine, decoder: FakeDecoder) -> None:
    """Without other wishes the answer is deterministic and bounded; options of other engines are not passed on."""
    await engine.complete(ask(options={"seed": 7, "logit_bias": {}}))
    body = decoder.bodies[0]
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.0, 512, 7)
    assert "logit_bias" not in body


@pytest.mark.model
def test_nothing_listens() -> None:
    """The HTTP listener that xllamacpp opens cannot be reached: no TCP port, and no socket on disk."""
    ports = {one.laddr for one in psutil.Process().net_connections("inet")}
    server = LlamaServer(find_local_model("local/smollm2-135m"), slots=1, context_tokens=256)
    opened = {one.laddr for one in psutil.Process().net_connections("inet")} - ports
    sockets = [str(one.laddr) for one in psutil.Process().net_connections("unix")]
    server.close()
    assert not opened
    assert not [path for path in sockets if path.endswith("closed.sock") and Path(path).exists()]


@pytest.mark.model
def test_a_short_prompt_does_not_wipe_out_a_long_one() -> None:
    """Prompts that begin alike but go on otherwise keep to slots of their own; the same one again is hardly read."""
    server = LlamaServer(find_local_model("local/smollm2-135m"), slots=2, context_tokens=1024)
    long = "The review is about a camera: " + "it takes good pictures, " * 30
    try:
        assert tokens_read(server, long) > 150
        assert tokens_read(server, "The review is about a camera: it is good.") > 5
        assert tokens_read(server, f"{long} indeed.") < 20
    finally:
        server.close()


def tokens_read(server: LlamaServer, prompt: str) -> int:
    """How many tokens of ``prompt`` had to be read."""
    read = 0

    def take(chunk: dict[str, Any]) -> bool:
        nonlocal read
        read = chunk.get("timings", {}).get("prompt_n", read)
        return False

    body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": 1, "timings_per_token": True}
    server.generate(body, take)
    return read


@pytest.mark.model
async def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """Loading and answering writes nothing to standard error."""
    engine = LlamaCppEngine(slots=1, context_tokens=512)
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "[a-z]"}}, "required": ["a"]}
    lm = LmSpec("local/smollm2-135m", max_tokens=40)
    request = LmRequest(lm, ({"role": "user", "content": "Say a word."},), response_schema=schema)
    try:
        await engine.complete(request)
    except ModelError:
        pass
    finally:
        await engine.aclose()
    captured = capfd.readouterr()
    assert captured.err == ""
    assert captured.out == ""


@pytest.mark.model
async def test_a_file_that_is_no_model_is_told(tmp_path: Path) -> None:
    """A broken file is a ModelError with a hint."""
    (tmp_path / "broken.gguf").write_bytes(b"no model at all")
    engine = LlamaCppEngine(model_dir=tmp_path)
    with pytest.raises(ModelError, match=r"broken\.gguf cannot be loaded"):
        await engine.complete(LmRequest(LmSpec("local/broken"), ({"role": "user", "content": "hello"},)))
    await engine.aclose()
