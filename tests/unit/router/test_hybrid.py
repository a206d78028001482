"""The hybrid route over a scripted backend: what leaves, what is shown, what is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from dspex_lab.calls import Chunk, LmReply, LmRequest, LmSpec, Usage
from dspex_lab.errors import DeadlineExceeded, ModelError, ValidationError, WorkerLost
from dspex_lab.pipelines import chain_of_thought, predict
from dspex_lab.pipelines.steps.step import Leaf
from dspex_lab.router import Outcome, Router
from dspex_lab.telemetry.events import Event, EventHub
from dspex_lab.testing import FakeBackend, FakeCall, FakeClock
from dspex_lab.testing.language_model import words

LOCAL = LmSpec("local/tiny")
REMOTE = LmSpec("openai/big", api_key="sk-secret", temperature=0.5)
USED = Usage(10, 5, 0.01, 1)


class Bench:
    """A router whose language model answers as scripted, and what it was asked."""

    def __init__(self, *answers: str | Exception, lm: LmSpec = REMOTE) -> None:
        self.clock = FakeClock()
        self.answers = list(answers)
        self.backend = FakeBackend({"lm.complete": self._complete}, clock=self.clock)
        self.hub = EventHub(self.clock)
        self.events: list[Event] = []
        self.hub.on("*", self.events.append)
        self.router = Router(self.backend, lm, hub=self.hub, clock=self.clock)

    async def _complete(self, call: FakeCall) -> Any:
        call.add_usage(USED)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        for word in words(answer):
            await call.emit(word)
        return msgspec.to_builtins(LmReply(answer, "model", "stop", USED))

    @property
    def requests(self) -> list[LmRequest]:
        return [msgspec.convert(call.args["request"], LmRequest) for call in self.backend.calls]

    async def run(self, leaf: Leaf, inputs: Mapping[str, Any], **more: Any) -> Outcome:
        return await self.router.execute(leaf.operation, inputs, options=leaf.options, **more)

    def named(self, name: str) -> list[Mapping[str, Any]]:
        return [event.attributes for event in self.events if event.name == name]


def chat(**fields: Any) -> str:
    """A reply in DSPy's chat form."""
    return "\n\n".join([*(f"[[ ## {name} ## ]]\n{text}" for name, text in fields.items()), "[[ ## completed ## ]]"])


async def test_only_the_question_to_the_model_leaves() -> None:
    """One call, to the model's pool, repeatable; outputs are typed, usage and route are told."""
    bench = Bench(chat(answer="4"))
    outcome = await bench.run(predict("q -> answer: int"), {"q": "2 + 2"})
    call = bench.backend.calls[0]
    assert (call.op, call.pool, call.idempotent, call.stream) == ("lm.complete", "general", True, False)
    assert outcome.outputs == {"answer": 4}
    assert (outcome.route, outcome.target, outcome.usage, outcome.worker) == ("hybrid", "general", USED, "fake-1")
    assert [event.name for event in bench.events] == ["router.route", "python.execute"]
    assert bench.named("python.execute")[0]["route"] == "hybrid"


async def test_the_model_is_the_step_s_own() -> None:
    """Address, key and figures of the model go with the request, its time within the step's."""
    bench = Bench(chat(answer="4"))
    await bench.run(predict("q -> answer", timeout_s=7.0), {"q": "?"})
    lm = bench.requests[0].lm
    assert (lm.model, lm.api_key, lm.temperature, lm.timeout_s) == ("openai/big", "sk-secret", 0.5, 7.0)


async def test_a_local_model_is_asked_briefly_under_its_schema() -> None:
    """The call goes to the neural pool, in one message, decoded under the signature's schema."""
    bench = Bench('{"answer": 4}', lm=LOCAL)
    outcome = await bench.run(predict("q -> answer: int", pool="mine"), {"q": "2 + 2"})
    assert outcome.outputs == {"answer": 4}
    assert bench.backend.calls[0].pool == "neural"
    assert [one["role"] for one in bench.requests[0].messages] == ["user"]
    schema = bench.requests[0].response_schema
    assert schema is not None
    assert schema["required"] == ["answer"]


async def test_reasoning_is_asked_for_and_kept() -> None:
    """A chain of thought has its reasoning first, in the schema and in the outputs."""
    bench = Bench('{"reasoning": "since", "answer": "yes"}', lm=LOCAL)
    outcome = await bench.run(chain_of_thought("q -> answer"), {"q": "?"})
    assert dict(outcome.outputs) == {"reasoning": "since", "answer": "yes"}
    schema = bench.requests[0].response_schema
    assert schema is not None
    assert list(schema["properties"]) == ["reasoning", "answer"]


@pytest.mark.parametrize(
    ("lm", "reply"),
    [
        (LOCAL, '{"reasoning": "one two three", "answer": "four five"}'),
        (REMOTE, chat(reasoning="one two three", answer="four five")),
    ],
)
async def test_tokens_come_field_by_field(lm: LmSpec, reply: str) -> None:
    """Chunks name the field they belong to and add up to the outputs; the first token's time is known."""
    bench = Bench(reply, lm=lm)
    seen: list[Chunk] = []
    outcome = await bench.run(chain_of_thought("q -> answer"), {"q": "?"}, on_chunk=seen.append)
    shown: dict[str, str] = {}
    for chunk in seen:
        shown[chunk.field] = shown.get(chunk.field, "") + chunk.text
    assert shown == dict(outcome.outputs)
    assert len(seen) > 2
    assert outcome.first_token_s is not None
    assert [event["text"] for event in bench.named("token")] == [chunk.text for chunk in seen]


@pytest.mark.parametrize("first", ["Paris.", ""])
async def test_an_unreadable_reply_is_asked_for_again_as_json(first: str) -> None:
    """As DSPy's ChatAdapter does: a second call in the JSON form; both are counted, neither is a retry."""
    bench = Bench(first, '{"answer": "Paris"}')
    outcome = await bench.run(predict("q -> answer"), {"q": "?"})
    assert (outcome.outputs, outcome.usage.lm_calls, outcome.retries) == ({"answer": "Paris"}, 2, 0)
    assert [request.response_schema is None for request in bench.requests] == [True, False]


async def test_a_refused_output_is_tried_again_with_the_validators_words() -> None:
    """The model is told what was wrong, in its instructions."""
    bench = Bench(chat(urgency="99"), chat(urgency="5"))
    outcome = await bench.run(predict("q: str\n->\nurgency: Annotated[int, Field(le=5)]"), {"q": "?"})
    assert (outcome.outputs, outcome.retries) == ({"urgency": 5}, 1)
    told = str(bench.requests[1].messages[0]["content"])
    assert "refused" in told
    assert "99" in told


async def test_a_model_that_never_obeys_fails_with_the_validators_error() -> None:
    """After output_retries the last refusal is the error; each try asked in both forms."""
    bench = Bench(*["no"] * 9)
    with pytest.raises(ValidationError):
        await bench.run(predict("q -> answer: int", output_retries=1), {"q": "?"})
    assert len(bench.backend.calls) == 4
    assert bench.named("error.python")[0]["error"]["type"] == "ValidationError"


async def test_settings_are_honoured() -> None:
    """Demos are turns, the adapter is the one that was asked for, instructions replace the signature's."""
    bench = Bench('{"answer": "b"}')
    leaf = predict("q -> answer", adapter="json", demos=[{"q": "one", "answer": "a"}], instructions="Be brief.")
    await bench.run(leaf, {"q": "two"})
    messages = bench.requests[0].messages
    assert [one["role"] for one in messages] == ["system", "user", "assistant", "user"]
    assert "Be brief." in messages[0]["content"]
    assert '"answer": "a"' in messages[2]["content"]


async def test_wrong_inputs_never_leave_the_notebook() -> None:
    """Inputs are validated before a call is made."""
    bench = Bench()
    with pytest.raises(ValidationError):
        await bench.run(predict("count: int -> answer"), {"count": "four"})
    assert bench.backend.calls == []


async def test_a_transient_error_is_tried_again() -> None:
    """A lost worker is no loss: the question is asked again."""
    bench = Bench(WorkerLost("gone"), chat(answer="yes"))
    work = asyncio.ensure_future(bench.run(predict("q -> answer"), {"q": "?"}))
    await bench.clock.wait_for_sleepers()
    bench.clock.advance(0.5)
    assert (await work).retries == 1


async def test_a_model_that_fails_gives_way_to_the_next() -> None:
    """A fallback takes the form and the pool of its own model."""
    bench = Bench(ModelError("down"), '{"answer": "yes"}')
    outcome = await bench.run(predict("q -> answer", fallback="local/tiny"), {"q": "?"})
    assert outcome.outputs == {"answer": "yes"}
    assert [call.pool for call in bench.backend.calls] == ["general", "neural"]


async def test_the_step_s_time_bounds_both_questions() -> None:
    """The deadline of the step is the call's own."""
    begun = asyncio.Event()

    async def wait(_call: FakeCall) -> None:
        begun.set()
        await asyncio.Event().wait()

    bench = Bench()
    bench.backend.handlers["lm.complete"] = wait
    work = asyncio.ensure_future(bench.run(predict("q -> answer", timeout_s=2.0), {"q": "?"}))
    await begun.wait()
    await bench.clock.wait_for_sleepers()
    bench.clock.advance(2.0)
    with pytest.raises(DeadlineExceeded):
        await work


async def test_a_cancel_reaches_the_model() -> None:
    """Cancelling the step cancels its call."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait(_call: FakeCall) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    bench = Bench()
    bench.backend.handlers["lm.complete"] = wait
    work = asyncio.ensure_future(bench.run(predict("q -> answer", stream=True), {"q": "?"}))
    await begun.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await ended.wait()
    assert bench.router.statistics().cancelled == 1
