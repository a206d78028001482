"""The small operations: echo, info, the user's functions, one question to a model."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from dspex_lab.backends.inline import InlineBackend
from dspex_lab.calls import Call, Code, LmReply, LmRequest, LmSpec
from dspex_lab.errors import ConfigurationError, ProtocolError, PythonError
from dspex_lab.testing.language_model import FakeLanguageModel
from dspex_lab.worker.engines import EngineSet, close_engines, install_engines


@pytest.fixture
async def backend() -> AsyncIterator[InlineBackend]:
    made = InlineBackend()
    await made.open()
    yield made
    await made.aclose()
    await close_engines()


async def value_of(backend: InlineBackend, op: str, **args: Any) -> Any:
    return (await backend.submit(Call(op, args, timeout_s=30)).result()).value


async def test_echo_gives_back_what_it_got(backend: InlineBackend) -> None:
    """Plain data goes there and back unchanged."""
    value = {"a": [1, 2.5, None, "é"], "b": b"bytes"}
    assert await value_of(backend, "system.echo", value=value) == value


async def test_info_tells_of_the_process(backend: InlineBackend) -> None:
    """The process id, versions and memory are there."""
    found = await value_of(backend, "system.info")
    assert found["pid"] == os.getpid()
    assert found["versions"]["dspy"]
    assert found["rss_bytes"] > 0


async def test_a_function_is_called(backend: InlineBackend) -> None:
    """The user's function gets its arguments, and its value comes back."""

    def add(a: int, *, b: int) -> int:
        return a + b

    assert await value_of(backend, "python.call", function=Code(add), args=[1], kwargs={"b": 2}) == 3


def first(state: dict[str, Any], x: int) -> list[Any]:
    return [state, x]


def last(x: int, state: dict[str, Any]) -> list[Any]:
    return [state, x]


def only_named(x: int, *, state: dict[str, Any]) -> list[Any]:
    return [state, x]


def only_placed(x: int, state: dict[str, Any], /) -> list[Any]:
    return [state, x]


def with_default(x: int, y: int = 0, state: dict[str, Any] | None = None) -> list[Any]:
    return [state, x]


@pytest.mark.parametrize("function", [first, last, only_named, only_placed, with_default])
async def test_a_function_in_a_session_is_given_its_state(backend: InlineBackend, function: Any) -> None:
    """Wherever its parameter called state stands; the caller's arguments are those around it."""
    session = await backend.request("session.open", pool="general", idle_expiry_s=60.0)
    call = Call("python.call", {"function": Code(function), "args": [1]}, session=session, timeout_s=30)
    assert (await backend.submit(call).result()).value == [{}, 1]


async def test_a_state_that_the_caller_gives_is_the_caller_s(backend: InlineBackend) -> None:
    """An argument called state is passed on as any other."""
    session = await backend.request("session.open", pool="general", idle_expiry_s=60.0)
    arguments = {"function": Code(first), "kwargs": {"state": "mine", "x": 1}}
    assert (await backend.submit(Call("python.call", arguments, session=session)).result()).value == ["mine", 1]


async def test_outside_of_sessions_there_is_no_state(backend: InlineBackend) -> None:
    """A parameter called state is one like others there, and asking for the state is a ProtocolError."""
    assert await value_of(backend, "python.call", function=Code(with_default), args=[1]) == [None, 1]
    with pytest.raises(ProtocolError):
        await value_of(backend, "session.state")


async def test_a_function_can_be_named(backend: InlineBackend) -> None:
    """A dotted name, with or without a colon, is imported in the worker."""
    assert await value_of(backend, "python.call", function="math.gcd", args=[12, 18]) == 6
    assert await value_of(backend, "python.call", function="os.path:basename", args=["/a/b"]) == "b"
    with pytest.raises(ConfigurationError):
        await value_of(backend, "python.call", function="nowhere.at_all")


async def test_a_coroutine_function_is_awaited(backend: InlineBackend) -> None:
    """Asynchronous functions run on the worker's main loop."""

    async def later(value: int) -> int:
        await asyncio.sleep(0)
        return value

    assert await value_of(backend, "python.call", function=Code(later), args=[5]) == 5


def count_plain() -> Iterator[Any]:
    yield from ("one", 2, "three")


async def count_async() -> AsyncIterator[Any]:
    for item in ("one", 2, "three"):
        yield item


@pytest.mark.parametrize("function", [count_plain, count_async])
async def test_a_generator_streams_its_text(backend: InlineBackend, function: Any) -> None:
    """Text items are chunks and are kept nowhere; the value is the list of the others."""
    call = backend.submit(Call("python.call", {"function": Code(function)}, stream=True, timeout_s=30))
    assert [chunk.text async for chunk in call] == ["one", "three"]
    assert (await call.result()).value == [2]


@pytest.mark.parametrize("function", [count_plain, count_async])
async def test_a_generator_that_is_not_streamed_gives_its_items(backend: InlineBackend, function: Any) -> None:
    """All of them, in their order."""
    assert await value_of(backend, "python.call", function=Code(function)) == ["one", 2, "three"]


async def test_what_a_function_raises_is_told(backend: InlineBackend) -> None:
    """The error has the foreign type's name and a traceback with the user's line."""

    def fail() -> None:
        raise LookupError("no such order")

    with pytest.raises(PythonError) as caught:
        await value_of(backend, "python.call", function=Code(fail))
    assert caught.value.error_type == "LookupError"
    assert "raise LookupError" in caught.value.traceback


async def test_one_question_to_a_model(backend: InlineBackend) -> None:
    """The reply is plain data, the text is streamed, the usage is counted."""
    engines = EngineSet()
    engines.put("llamacpp", FakeLanguageModel())
    install_engines(asyncio.get_running_loop(), engines)
    request = LmRequest(LmSpec("local/model"), ({"role": "user", "content": "hello"},))
    call = backend.submit(Call("lm.complete", {"request": msgspec.to_builtins(request)}, stream=True, timeout_s=30))
    text = "".join([chunk.text async for chunk in call])
    result = await call.result()
    assert msgspec.convert(result.value, LmReply).text == text == "You said: hello"
    assert result.usage.lm_calls == 1


async def test_a_model_is_loaded_before_it_is_asked(backend: InlineBackend) -> None:
    """Nothing is answered; the engine that the model is for has it ready."""

    class Loading(FakeLanguageModel):
        loaded = ""

        async def load(self, model: str) -> None:
            self.loaded = model

    fake = Loading()
    engines = EngineSet(serves_local=True)
    engines.put("llamacpp", fake)
    install_engines(asyncio.get_running_loop(), engines)
    assert await value_of(backend, "lm.load", model="local/model") is None
    assert (fake.loaded, fake.requests) == ("local/model", [])


async def test_a_request_that_is_none_is_told(backend: InlineBackend) -> None:
    """Data of another shape is a ProtocolError."""
    with pytest.raises(ProtocolError, match="no request"):
        await value_of(backend, "lm.complete", request={"messages": 3})
