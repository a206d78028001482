"""DSPy programs over our engines: values, streams, usage, errors and interruption."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from dspex_lab.backends.inline import InlineBackend
from dspex_lab.calls import Call, Code, LmRequest, LmSpec, Result
from dspex_lab.errors import Cancelled, ConfigurationError, LabError, ModelError
from dspex_lab.testing.language_model import FakeLanguageModel, default_answer
from dspex_lab.worker.engines import EngineSet, close_engines, install_engines

LOCAL = LmSpec("local/model")
REMOTE = LmSpec("openai/model", api_base="http://nowhere", api_key="sk-secret")
TRIAGE = '''"""Route a ticket."""
ticket: str
->
category: Literal["billing", "bug"]
urgency: Annotated[int, Field(ge=2, le=5)]  # 5 is drop everything
reply: str | None
'''


class Place:
    """An inline backend whose engines are fakes."""

    def __init__(self, backend: InlineBackend, fake: FakeLanguageModel) -> None:
        self.backend = backend
        self.fake = fake

    def start(self, lm: LmSpec = LOCAL, *, stream: bool = False, **args: Any) -> Any:
        return self.backend.submit(
            Call("dspy.run", {"lm": msgspec.to_builtins(lm), **args}, stream=stream, timeout_s=60)
        )

    async def run(self, lm: LmSpec = LOCAL, **args: Any) -> Result:
        result: Result = await self.start(lm, **args).result()
        return result

    def answer(self, *replies: str) -> None:
        waiting = list(replies)
        self.fake._answer = lambda _request: waiting.pop(0)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    fake = FakeLanguageModel()
    engines = EngineSet()
    engines.put("llamacpp", fake)
    engines.put("openai", fake)
    install_engines(asyncio.get_running_loop(), engines)
    backend = InlineBackend()
    await backend.open()
    yield Place(backend, fake)
    await backend.aclose()
    await close_engines()


def signature(text: str, name: str = "Asked") -> dict[str, Any]:
    return {"text": text, "name": name, "namespace": None}


async def test_the_signature_s_own_schema_reaches_the_decoder(place: Place) -> None:
    """For a local model the constraints, order and types of the outputs are the decoder's."""
    result = await place.run(kind="predict", signature=signature(TRIAGE), inputs={"ticket": "Help!"})
    schema = place.fake.requests[0].response_schema
    assert schema is not None
    assert list(schema["properties"]) == ["category", "urgency", "reply"]
    assert schema["properties"]["urgency"]["minimum"] == 2
    assert result.value == {"category": "billing", "urgency": 2, "reply": "text"}


async def test_a_dict_has_a_schema_too(place: Place) -> None:
    """DSPy would ask for any JSON here; the bridge asks for the fields."""
    await place.run(kind="predict", signature=signature("text -> counts: dict[str, int]"), inputs={"text": "a b"})
    schema = place.fake.requests[0].response_schema
    assert schema is not None
    assert schema["required"] == ["counts"]


async def test_usage_is_counted(place: Place) -> None:
    """Every model call of the program is in the result's usage."""
    result = await place.run(
        kind="chain_of_thought", signature=signature("question -> answer"), inputs={"question": "?"}
    )
    assert result.usage.lm_calls == 1
    assert result.usage.output_tokens > 0
    assert list(result.value) == ["reasoning", "answer"]


async def test_fields_stream_as_they_come(place: Place) -> None:
    """Chunks carry the field they belong to, and add up to the result."""
    place.answer(json.dumps({"reasoning": "one two three", "answer": "four five"}))
    call = place.start(
        kind="chain_of_thought", signature=signature("question -> answer"), inputs={"question": "?"}, stream=True
    )
    seen: dict[str, str] = {}
    count = 0
    async for chunk in call:
        seen[chunk.field] = seen.get(chunk.field, "") + chunk.text
        count += 1
    result = await call.result()
    assert seen == result.value == {"reasoning": "one two three", "answer": "four five"}
    assert count > 2


async def test_remote_models_use_dspy_s_own_prompt(place: Place) -> None:
    """Other models get ChatAdapter's messages, no schema, and stream by its markers."""
    place.answer("[[ ## answer ## ]]\nfour five\n\n[[ ## completed ## ]]")
    call = place.start(
        REMOTE, kind="predict", signature=signature("question -> answer"), inputs={"question": "?"}, stream=True
    )
    text = "".join([chunk.text async for chunk in call if chunk.field == "answer"])
    result = await call.result()
    assert text.strip() == result.value["answer"] == "four five"
    assert place.fake.requests[0].response_schema is None
    assert "[[ ## question ## ]]" in str(place.fake.requests[0].messages)


async def test_two_calls_are_two_questions(place: Place) -> None:
    """DSPy's own cache is off: the same question is asked again."""
    for _ in range(2):
        await place.run(kind="predict", signature=signature("question -> answer"), inputs={"question": "?"})
    assert len(place.fake.requests) == 2


async def test_a_model_s_error_comes_through(place: Place) -> None:
    """The caller sees the ModelError itself, not DSPy's wrapping of it, and no second call is made."""
    place.fake._answer = lambda _request: ModelError("Too many requests.", "local/model", 429, retryable=True)
    with pytest.raises(ModelError) as caught:
        await place.run(kind="predict", signature=signature("question -> answer"), inputs={"question": "?"})
    assert (caught.value.status, caught.value.retryable) == (429, True)
    assert len(place.fake.requests) == 1


async def test_a_cancel_stops_the_model(place: Place) -> None:
    """Cancelling the call ends the engine's work too."""
    place.fake._delay_s = 30
    call = place.start(kind="predict", signature=signature("question -> answer"), inputs={"question": "?"})
    await asyncio.wait_for(place.fake.started.wait(), 10.0)
    call.cancel()
    with pytest.raises(Cancelled):
        await asyncio.wait_for(call.result(), 1.0)
    await asyncio.wait_for(place.fake.idle.wait(), 1.0)


async def test_a_module_of_the_user_s_runs_synchronously(place: Place) -> None:
    """A module without ``aforward`` runs as it is, on the main thread, over the synchronous bridge."""
    import dspy

    class Twice(dspy.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.step = dspy.Predict("question -> answer")

        def forward(self, question: str) -> Any:
            self.step(question=question)
            return self.step(question=question)

    result = await place.run(kind="module", inputs={"question": "?"}, options={"module": Code(Twice)})
    assert result.value == {"answer": "text"}
    assert result.usage.lm_calls == 2


async def test_dspy_s_threads_reach_the_model(place: Place) -> None:
    """Threads that DSPy starts do not inherit contexts; the model knows its operation all the same."""
    import dspy

    class Side(dspy.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.step = dspy.Predict("question -> answer")

        def forward(self, question: str) -> Any:
            pairs = [(self.step, {"question": f"{question} {number}"}) for number in range(3)]
            parallel = dspy.Parallel(num_threads=3, disable_progress_bar=True)
            return {"answers": [one.answer for one in parallel(pairs)]}

    result = await place.run(kind="module", inputs={"question": "?"}, options={"module": Code(Side)})
    assert result.value == {"answers": ["text"] * 3}
    assert result.usage.lm_calls == 3


async def test_tools_are_called(place: Place) -> None:
    """A ReAct program calls the user's function with what the model chose."""

    def find_order(number: str) -> str:
        """Find an order."""
        return f"order {number} is shipped"

    place.answer(
        json.dumps({"next_thought": "look", "next_tool_name": "find_order", "next_tool_args": {"number": "7"}}),
        json.dumps({"next_thought": "done", "next_tool_name": "finish", "next_tool_args": {}}),
        json.dumps({"reasoning": "it is so", "answer": "shipped"}),
    )
    result = await place.run(
        kind="react",
        signature=signature("question -> answer"),
        inputs={"question": "Where is order 7?"},
        options={"tools": [Code(find_order)]},
    )
    assert result.value["trajectory"]["observation_0"] == "order 7 is shipped"
    assert result.value["answer"] == "shipped"
    assert result.usage.lm_calls == 3


async def test_demonstrations_are_shown(place: Place) -> None:
    """Demos come before the question, as the model's own earlier answers."""
    await place.run(
        kind="predict",
        signature=signature("question -> answer"),
        inputs={"question": "second?"},
        options={"demos": [{"question": "first?", "answer": "yes"}], "instructions": "Be short."},
    )
    messages = place.fake.requests[0].messages
    assert [one["role"] for one in messages] == ["user", "assistant", "user"]
    assert "Be short. " in messages[0]["content"]
    assert '"answer": "yes"' in messages[1]["content"]


async def test_dspy_s_own_streaming_works_over_the_bridge(place: Place) -> None:
    """Who asks DSPy itself for a stream gets one."""
    import dspy

    async def stream_it(question: str) -> list[str]:
        from dspex_lab.worker.lm import build_lm

        program = dspy.streamify(
            dspy.Predict("question -> answer"),
            stream_listeners=[dspy.streaming.StreamListener(signature_field_name="answer")],
        )
        with dspy.context(lm=build_lm(REMOTE), adapter=dspy.ChatAdapter()):
            items = [item async for item in program(question=question)]
        return [item.chunk for item in items if isinstance(item, dspy.streaming.StreamResponse)]

    place.answer("[[ ## answer ## ]]\nfour five six seven eight nine ten\n\n[[ ## completed ## ]]")
    call = place.backend.submit(Call("python.call", {"function": Code(stream_it), "args": ["?"]}, timeout_s=60))
    pieces = (await call.result()).value
    assert "".join(pieces).strip() == "four five six seven eight nine ten"


async def test_an_unknown_kind_is_told(place: Place) -> None:
    """The error lists the kinds that there are."""
    with pytest.raises(LabError, match="chain_of_thought"):
        await place.run(kind="dream", signature=signature("a -> b"), inputs={})


async def test_a_module_that_is_none_is_told(place: Place) -> None:
    """A dotted name that leads nowhere, or to something else, is a ConfigurationError."""
    with pytest.raises(ConfigurationError):
        await place.run(kind="module", inputs={}, options={"module": "no.such.thing"})
    with pytest.raises(ConfigurationError):
        await place.run(kind="module", inputs={}, options={"module": "json.dumps"})


def test_the_key_is_not_saved_with_a_program() -> None:
    """What a saved program says of its model holds no key."""
    from dspex_lab.worker.lm import SyncBridge

    state = SyncBridge(REMOTE).dump_state()
    assert "sk-secret" not in json.dumps(state)
    assert SyncBridge.load_state(state)._spec == LmSpec("openai/model", api_base="http://nowhere")


def test_outside_an_operation_the_model_says_so() -> None:
    """The bridge works inside a worker's operation only, and says that."""
    import dspy

    from dspex_lab.worker.lm import build_lm

    with pytest.raises(Exception, match="inside a worker's operation") as caught, dspy.context(lm=build_lm(LOCAL)):
        dspy.Predict("question -> answer")(question="?")
    assert isinstance(caught.value.__cause__, ConfigurationError)


def test_the_default_answer_echoes() -> None:
    """Without a schema the fake says what it was told."""
    assert default_answer(LmRequest(LOCAL, ({"role": "user", "content": "hi"},))) == "You said: hi"
