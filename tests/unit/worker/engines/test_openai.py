"""The engine of OpenAI-form endpoints against a server that misbehaves on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from dspex_lab.calls import LmReply, LmRequest, LmSpec
from dspex_lab.errors import DeadlineExceeded, ModelError
from dspex_lab.testing.openai_server import OpenAiServer
from dspex_lab.testing.scripted_answers import Behaviour
from dspex_lab.worker.engines.openai import OpenAiEngine

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with OpenAiServer() as running:
        yield running


@pytest.fixture
async def engine() -> AsyncIterator[OpenAiEngine]:
    made = OpenAiEngine()
    yield made
    await made.aclose()


def ask(server: OpenAiServer, *, has_schema: bool = False, max_tokens: int | None = None) -> LmRequest:
    lm = LmSpec("openai/model", api_base=server.api_base, api_key="sk-secret", timeout_s=5, max_tokens=max_tokens)
    return LmRequest(lm, ({"role": "user", "content": "hello there"},), SCHEMA if has_schema else None)


async def streamed(engine: OpenAiEngine, request: LmRequest) -> tuple[LmReply, list[str]]:
    pieces: list[str] = []

    async def keep(text: str) -> None:
        pieces.append(text)

    return await engine.complete(request, keep), pieces


async def failure(engine: OpenAiEngine, request: LmRequest, *, is_streaming: bool = False) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await (streamed(engine, request) if is_streaming else engine.complete(request))
    return caught.value


async def test_one_connection_serves_many_requests(server: OpenAiServer, engine: OpenAiEngine) -> None:
    """The connection is kept alive, streams included."""
    for _ in range(5):
        await engine.complete(ask(server))
        await streamed(engine, ask(server))
    assert server.statistics().requests == 10
    assert server.statistics().connections == 1


async def test_the_model_s_name_goes_without_its_provider(server: OpenAiServer, engine: OpenAiEngine) -> None:
    """``openai/model`` asks for ``model``, with the key as a bearer."""
    await engine.complete(ask(server))
    assert server.requests[0]["model"] == "model"
    assert server.authorizations == ["Bearer sk-secret"]


async def test_a_stream_tells_its_usage(server: OpenAiServer, engine: OpenAiEngine) -> None:
    """Usage is asked for in streams and counted; the cost is not known."""
    reply, pieces = await streamed(engine, ask(server))
    assert pieces == ["You ", "said: ", "hello ", "there"]
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cost) == (2, 4, None)
    assert reply.first_token_s is not None


async def test_an_endpoint_that_refuses_usage_in_streams(server: OpenAiServer, engine: OpenAiEngine) -> None:
    """It is asked again without, and remembered: the next request goes right at once."""
    server.behaviour = Behaviour(refuses=("stream_options",))
    await streamed(engine, ask(server))
    await streamed(engine, ask(server))
    assert ["stream_options" in body for body in server.requests] == [True, False, False]


async def test_schemas_fall_back_step_by_step(server: OpenAiServer, engine: OpenAiEngine) -> None:
    """From a JSON schema to any JSON to none, and what was refused is not sent again."""
    server.behaviour = Behaviour(text='{"a": 1}', refuses=("json_schema", "json_object"))
    await engine.complete(ask(server, has_schema=True))
    await engine.complete(ask(server, has_schema=True))
    forms = [body.get("response_format", {}).get("type") for body in server.requests]
    assert forms == ["json_schema", "json_object", None, None]


async def test_newer_models_want_another_name_for_max_tokens(server: OpenAiServer, engine: OpenAiEngine) -> None:
    """``max_tokens`` becomes ``max_completion_tokens`` where the endpoint says so."""
    server.play(Behaviour(status=400, message="Use 'max_completion_tokens' instead of 'max_tokens'."))
    await engine.complete(ask(server, max_tokens=9))
    assert server.requests[1]["max_completion_tokens"] == 9
    assert "max_tokens" not in server.requests[1]


@pytest.mark.parametrize(
    ("status", "is_retryable"),
    [(401, False), (403, False), (404, False), (400, False), (429, True), (500, True), (503, True)],
)
async def test_statuses_are_told_apart(
    server: OpenAiServer, engine: OpenAiEngine, status: int, is_retryable: bool
) -> None:
    """What may go better later is retryable; the status is kept."""
    server.behaviour = Behaviour(status=status)
    error = await failure(engine, ask(server))
    assert (error.status, error.retryable) == (status, is_retryable)


async def test_the_wait_that_was_asked_for_is_kept(server: OpenAiServer, engine: OpenAiEngine) -> None:
    """``retry-after`` is on the error, in seconds, and in its hint."""
    server.behaviour = Behaviour(status=429, headers={"retry-after": "7"})
    error = await failure(engine, ask(server))
    assert error.retry_after_s == 7.0
    assert "7 s" in str(error.hint)


async def test_the_key_is_in_no_error(server: OpenAiServer, engine: OpenAiEngine) -> None:
    """A server that repeats the key does not bring it into a message."""
    server.behaviour = Behaviour(status=401, message="Incorrect API key provided: sk-secret")
    error = await failure(engine, ask(server))
    assert "sk-secret" not in f"{error!r} {error} {error.to_dict()}"


async def test_a_prompt_that_is_too_long_has_one_status(server: OpenAiServer, engine: OpenAiEngine) -> None:
    """Whatever the endpoint calls it, the status is 413."""
    server.behaviour = Behaviour(status=400, message="This model's maximum context length is 8192 tokens.")
    assert (await failure(engine, ask(server))).status == 413


@pytest.mark.parametrize("is_streaming", [False, True])
async def test_an_answer_that_is_cut(server: OpenAiServer, engine: OpenAiEngine, is_streaming: bool) -> None:
    """A connection that breaks in the middle is an error and not a short answer, and may be tried again."""
    server.behaviour = Behaviour(cut_after=2)
    error = await failure(engine, ask(server), is_streaming=is_streaming)
    assert "middle" in error.message
    assert error.retryable


async def test_a_stream_that_ends_without_an_end(server: OpenAiServer, engine: OpenAiEngine) -> None:
    """JSON that stopped at max_tokens is an error that says so."""
    server.behaviour = Behaviour(text='{"a": 1', finish_reason="length")
    error = await failure(engine, ask(server, has_schema=True))
    assert "max_tokens" in error.message


@pytest.mark.parametrize("raw", [b"<html>gateway</html>", b"[]", b"{}", b'{"choices": []}', b'{"choices": [3]}'])
async def test_answers_that_are_none(server: OpenAiServer, engine: OpenAiEngine, raw: bytes) -> None:
    """What is no answer in the wire form is a retryable ModelError, whatever it is."""
    server.behaviour = Behaviour(raw=raw)
    assert (await failure(engine, ask(server))).retryable


async def test_an_event_that_is_no_json(server: OpenAiServer, engine: OpenAiEngine) -> None:
    """A broken event ends the stream with an error."""
    server.behaviour = Behaviour(raw=b"{broken")
    assert (await failure(engine, ask(server), is_streaming=True)).retryable


async def test_an_error_inside_a_stream(server: OpenAiServer, engine: OpenAiEngine) -> None:
    """Some endpoints tell of a failure by an event; it is not taken for text."""
    server.behaviour = Behaviour(raw=b'{"error": {"message": "overloaded"}}')
    assert "overloaded" in (await failure(engine, ask(server), is_streaming=True)).message


async def test_silence_ends_with_the_time_limit(server: OpenAiServer, engine: OpenAiEngine) -> None:
    """A server that never answers is left when the time is over."""
    server.behaviour = Behaviour(is_silent=True)
    lm = LmSpec("openai/model", api_base=server.api_base, timeout_s=0.1)
    with pytest.raises(DeadlineExceeded):
        await engine.complete(LmRequest(lm, ({"role": "user", "content": "hello"},)))


async def test_a_body_that_comes_byte_by_byte(server: OpenAiServer, engine: OpenAiEngine) -> None:
    """However a body is cut on its way, it is the same answer."""
    server.behaviour = Behaviour(is_bytewise=True)
    assert (await engine.complete(ask(server))).text == "You said: hello there"


async def test_nobody_there(engine: OpenAiEngine) -> None:
    """An address where nothing listens is a retryable error that names it."""
    with OpenAiServer() as gone:
        request = ask(gone)
    error = await failure(engine, request)
    assert error.retryable
    assert "cannot be reached" in error.message


async def test_openai_s_own_endpoint_needs_a_key(engine: OpenAiEngine) -> None:
    """Without a key nothing is sent, and the error says where to put one."""
    error = await failure(engine, LmRequest(LmSpec("openai/gpt"), ({"role": "user", "content": "hello"},)))
    assert error.status == 401
    assert "OPENAI_API_KEY" in str(error.hint)


async def test_a_cancelled_stream_closes_its_connection(server: OpenAiServer, engine: OpenAiEngine) -> None:
    """The server sees its reader go, so that it can stop generating."""
    server.behaviour = Behaviour(text="a b c d", delay_s=5)
    started = asyncio.Event()

    async def note(text: str) -> None:
        started.set()

    task = asyncio.create_task(engine.complete(ask(server), note))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.reader_left.wait, 2)
