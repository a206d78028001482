"""The router at work, over a scripted backend and a clock that stands still."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from dspex_lab.calls import Chunk, LmSpec, Usage
from dspex_lab.errors import (
    Cancelled,
    ConfigurationError,
    DeadlineExceeded,
    ModelError,
    ProtocolError,
    PythonError,
    ValidationError,
    WorkerLost,
)
from dspex_lab.pipelines import chain_of_thought, native, predict, react
from dspex_lab.pipelines.steps.step import Leaf
from dspex_lab.router import Decision, Operation, Options, Outcome, RetryPolicy, Route, Router, RouterStatistics
from dspex_lab.telemetry.events import Event, EventHub
from dspex_lab.testing import FakeBackend, FakeCall, FakeClock

LM = LmSpec("local/tiny")


class Bench:
    """A router with everything around it that a test looks at."""

    def __init__(self, **handlers: Any) -> None:
        self.clock = FakeClock()
        self.backend = FakeBackend({name.replace("_", "."): one for name, one in handlers.items()}, clock=self.clock)
        self.hub = EventHub(self.clock)
        self.events: list[Event] = []
        self.hub.on("*", self.events.append)
        # With the worker's DSPy scripted, the python route is what is looked at.
        strategy = "python" if "dspy_run" in handlers else "auto"
        self.router = Router(self.backend, LM, hub=self.hub, clock=self.clock, strategy=strategy)

    async def run(self, leaf: Leaf, inputs: Mapping[str, Any], **more: Any) -> Outcome:
        operation = leaf.operation
        if leaf.writes is None:
            operation = Operation("native", operation.name, ("value",), function=operation.function)
        return await self.router.execute(operation, inputs, options=leaf.options, **more)

    def named(self, name: str) -> list[Mapping[str, Any]]:
        return [event.attributes for event in self.events if event.name == name]


def answering(*answers: Any) -> Any:
    """A handler that gives (or raises) one answer after the other."""
    left = list(answers)

    def handler(call: FakeCall) -> Any:
        call.add_usage(Usage(10, 5, None, 1))
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handler


# --- native -------------------------------------------------------------------------------------------------------


async def test_a_native_function_runs_off_the_event_loop() -> None:
    """A plain function has a thread of its own, so that one that blocks stops nothing else."""
    outcome = await Bench().run(native(lambda: threading.get_ident()), {})
    assert outcome.outputs["value"] != threading.get_ident()
    assert (outcome.route, outcome.target) == ("native", "notebook")


async def test_an_async_native_function_is_awaited() -> None:
    """A coroutine function runs on the loop."""

    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    assert (await Bench().run(native(double), {"number": 21})).outputs == {"value": 42}


async def test_a_native_functions_exception_comes_through_as_it_is() -> None:
    """The user's own exception is raised with its traceback, and told."""
    bench = Bench()
    with pytest.raises(ZeroDivisionError):
        await bench.run(native(lambda x: 1 / x), {"x": 0})
    assert bench.named("error.native")[0]["error"]["error_type"] == "ZeroDivisionError"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration(), asyncio.CancelledError()])
async def test_what_would_end_the_loop_is_an_ordinary_error(error: BaseException) -> None:
    """A function that calls sys.exit() fails; the event loop goes on."""

    def leave() -> None:
        raise error

    with pytest.raises(RuntimeError, match=type(error).__name__):
        await Bench().run(native(leave), {})


async def test_a_native_function_has_a_deadline() -> None:
    """timeout_s holds for the notebook's own functions too."""

    async def wait() -> None:
        await asyncio.Event().wait()

    bench = Bench()
    work = asyncio.ensure_future(bench.run(native(wait, timeout_s=2.0), {}))
    await bench.clock.wait_for_sleepers()
    bench.clock.advance(2.0)
    with pytest.raises(DeadlineExceeded):
        await work


@pytest.mark.parametrize(
    ("value", "expected"),
    [({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}), ((1, 2), {"a": 1, "b": 2}), ([1, 2], {"a": 1, "b": 2})],
)
async def test_several_writes_take_a_mapping_or_a_tuple(value: Any, expected: dict[str, int]) -> None:
    """A function that writes two fields returns both, by name or by position."""
    assert (await Bench().run(native(lambda: value, writes=["a", "b"]), {})).outputs == expected


async def test_a_value_that_does_not_fit_its_writes_says_so() -> None:
    """One value for two fields is the function's mistake."""
    with pytest.raises(TypeError, match="should return a, b, and returned int"):
        await Bench().run(native(lambda: 1, writes=["a", "b"]), {})


async def test_a_registered_function_is_found_by_name() -> None:
    """native("shout") runs what was registered as shout."""
    bench = Bench()
    bench.router.native.register("shout", lambda text: text.upper())
    assert (await bench.run(native("shout", reads=["text"], writes="loud"), {"text": "a"})).outputs == {"loud": "A"}


async def test_a_registered_function_can_go_to_a_worker() -> None:
    """With a pool, the function that the name stands for is sent."""

    def call(fake: FakeCall) -> Any:
        return fake.call.args["function"].value(**fake.call.args["kwargs"])

    bench = Bench(python_call=call)
    bench.router.native.register("shout", lambda text: text.upper())
    leaf = native("shout", reads=["text"], writes="loud", pool="general")
    assert (await bench.run(leaf, {"text": "a"})).outputs == {"loud": "A"}


# --- python -------------------------------------------------------------------------------------------------------


async def test_a_predict_gives_validated_outputs_and_what_it_took() -> None:
    """Outputs have the signature's types; usage, worker and route come along."""
    bench = Bench(dspy_run=answering({"answer": "4"}))
    outcome = await bench.run(predict("q -> answer: int"), {"q": "2 + 2"})
    assert outcome.outputs == {"answer": 4}
    assert (outcome.usage, outcome.worker, outcome.route) == (Usage(10, 5, None, 1), "fake-1", "python")


async def test_reasoning_is_an_output_of_a_chain_of_thought() -> None:
    """The model's reasoning is kept beside the outputs."""
    bench = Bench(dspy_run=answering({"reasoning": "since", "answer": "yes"}))
    assert (await bench.run(chain_of_thought("q -> answer"), {"q": "?"})).outputs == {
        "reasoning": "since",
        "answer": "yes",
    }


async def test_wrong_inputs_never_leave_the_notebook() -> None:
    """Inputs are validated before a call is made."""
    bench = Bench(dspy_run=answering())
    with pytest.raises(ValidationError):
        await bench.run(predict("count: int -> answer"), {"count": "four"})
    assert bench.backend.calls == []


async def test_a_refused_output_is_tried_again_with_the_validators_words() -> None:
    """The model is told what was wrong; what both tries used is counted."""
    bench = Bench(dspy_run=answering({"answer": "four"}, {"answer": 4}))
    outcome = await bench.run(predict("q -> answer: int"), {"q": "2 + 2"})
    assert (outcome.outputs, outcome.retries, outcome.usage.output_tokens) == ({"answer": 4}, 1, 10)
    instructions = bench.backend.calls[1].args["options"]["instructions"]
    assert "refused" in instructions
    assert "four" in instructions


async def test_a_model_that_never_obeys_fails_with_the_validators_error() -> None:
    """After output_retries the last refusal is the error."""
    bench = Bench(dspy_run=answering(*[{"answer": "four"}] * 9))
    with pytest.raises(ValidationError):
        await bench.run(predict("q -> answer: int", output_retries=1), {"q": "?"})
    assert len(bench.backend.calls) == 2


async def test_a_transient_error_is_tried_again_after_a_wait() -> None:
    """A rate limit passes; the wait is the injected clock's."""
    bench = Bench(dspy_run=answering(ModelError("slow down", retryable=True), {"answer": "yes"}))
    work = asyncio.ensure_future(bench.run(predict("q -> answer"), {"q": "?"}))
    await bench.clock.wait_for_sleepers()
    assert len(bench.backend.calls) == 1
    bench.clock.advance(0.5)
    outcome = await work
    assert (outcome.retries, len(bench.backend.calls)) == (1, 2)


@pytest.mark.parametrize("error", [ModelError("no such model"), PythonError("ValueError: no"), ProtocolError("what")])
async def test_a_lasting_error_is_not_tried_again(error: Exception) -> None:
    """What is not transient fails at once, as it is."""
    bench = Bench(dspy_run=answering(error))
    with pytest.raises(type(error)):
        await bench.run(predict("q -> answer", retry=5), {"q": "?"})
    assert bench.named("error.python")[0]["error"]["type"] == type(error).__name__


async def test_retry_zero_is_no_retry() -> None:
    """retry=0 turns it off."""
    bench = Bench(dspy_run=answering(WorkerLost("gone")))
    with pytest.raises(WorkerLost):
        await bench.run(predict("q -> answer", retry=0), {"q": "?"})


async def test_no_try_is_begun_after_the_deadline() -> None:
    """A wait that would end past timeout_s is not waited; the error says what happened before."""
    policy = RetryPolicy(retries=99, base_s=100.0, max_s=100.0)
    bench = Bench(dspy_run=answering(*[ModelError("slow down", retryable=True)] * 99))
    work = asyncio.ensure_future(bench.run(predict("q -> answer", retry=policy, timeout_s=1e-9), {"q": "?"}))
    with pytest.raises(DeadlineExceeded, match="slow down"):
        await work


async def test_the_calls_time_is_what_is_left_of_the_steps() -> None:
    """A second try has only the rest of timeout_s."""
    bench = Bench(dspy_run=answering(ModelError("slow down", retryable=True), {"answer": "yes"}))
    work = asyncio.ensure_future(bench.run(predict("q -> answer", timeout_s=10.0), {"q": "?"}))
    await bench.clock.wait_for_sleepers()
    await bench.clock.run_for(0.5)
    await work
    first, second = (call.timeout_s for call in bench.backend.calls)
    assert first == 10.0
    assert second is not None
    assert second <= 10.0


async def test_streamed_text_is_told_piece_by_piece() -> None:
    """Every chunk is a token event and reaches the reader."""

    async def handler(call: FakeCall) -> dict[str, str]:
        for text in ("It ", "is."):
            await call.emit(text, "answer")
        return {"answer": "It is."}

    bench = Bench(dspy_run=handler)
    chunks: list[Chunk] = []
    outcome = await bench.run(predict("q -> answer"), {"q": "?"}, on_chunk=chunks.append)
    assert [chunk.text for chunk in chunks] == [token["text"] for token in bench.named("token")] == ["It ", "is."]
    assert outcome.first_token_s == 0.0


async def test_cancelling_the_execution_cancels_the_call() -> None:
    """The backend hears of it while it streams, and the router counts it."""
    begun = asyncio.Event()
    ended = asyncio.Event()

    async def handler(call: FakeCall) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    bench = Bench(dspy_run=handler)
    work = asyncio.ensure_future(bench.run(predict("q -> answer", stream=True), {"q": "?"}))
    await begun.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await ended.wait()
    assert bench.router.statistics().cancelled == 1


async def test_a_backend_that_closes_cancels() -> None:
    """Cancelled is told as it is and not tried again."""
    begun = asyncio.Event()

    async def handler(call: FakeCall) -> None:
        begun.set()
        await asyncio.Event().wait()

    bench = Bench(dspy_run=handler)
    work = asyncio.ensure_future(bench.run(predict("q -> answer"), {"q": "?"}))
    await begun.wait()
    await bench.backend.aclose()
    with pytest.raises(Cancelled):
        await work


async def test_what_tools_did_is_not_done_twice() -> None:
    """A react step whose output breaks its signature fails at once."""
    bench = Bench(dspy_run=answering({"answer": "four"}, {"answer": 4}))
    with pytest.raises(ValidationError):
        await bench.run(react("q -> answer: int", tools=[print]), {"q": "?"})
    assert len(bench.backend.calls) == 1


@pytest.mark.parametrize("options", [{"timeout_s": 0}, {"timeout_s": -1.0}, {"retry": -1}, {"output_retries": -1}])
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    """A step with a negative figure is an error where it is written."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        predict("q -> answer", **options)


# --- fallback -----------------------------------------------------------------------------------------------------


async def test_a_model_that_fails_gives_way_to_the_next() -> None:
    """The fallbacks are tried in order: another model, another pool; what happened is told."""
    bench = Bench(dspy_run=answering(ModelError("down"), ModelError("down too"), {"answer": "yes"}))
    leaf = predict("q -> answer", fallback=["openai/other", "optimizer"])
    assert (await bench.run(leaf, {"q": "?"})).outputs == {"answer": "yes"}
    calls = [(call.args["lm"]["model"], call.pool) for call in bench.backend.calls]
    assert calls == [("local/tiny", "general"), ("openai/other", "general"), ("local/tiny", "optimizer")]
    assert "fallback 2" in bench.named("router.route")[2]["reason"]


async def test_the_last_fallbacks_error_is_the_error() -> None:
    """When nothing is left, the last error is raised."""
    bench = Bench(dspy_run=answering(ModelError("first"), ModelError("second")))
    with pytest.raises(ModelError, match="second"):
        await bench.run(predict("q -> answer", fallback="openai/other"), {"q": "?"})


@pytest.mark.parametrize("error", [PythonError("KeyError: 'x'"), Cancelled("stop"), ProtocolError("what")])
async def test_what_another_model_cannot_cure_is_not_tried_there(error: Exception) -> None:
    """The user's own mistakes and a cancel end the step."""
    bench = Bench(dspy_run=answering(error))
    with pytest.raises(type(error)):
        await bench.run(predict("q -> answer", fallback="openai/other"), {"q": "?"})
    assert len(bench.backend.calls) == 1


# --- deciding -----------------------------------------------------------------------------------------------------


async def test_the_decision_is_told_before_the_work() -> None:
    """router.route comes first, with route, reason and target."""
    bench = Bench(dspy_run=answering({"answer": "yes"}))
    await bench.run(predict("q -> answer"), {"q": "?"})
    assert [event.name for event in bench.events] == ["router.route", "python.execute"]
    route = bench.named("router.route")[0]
    assert (route["route"], route["target"]) == ("python", "general")
    assert route["reason"]


async def test_a_users_strategy_decides() -> None:
    """A registered strategy is used where route= names it."""

    def to_optimizer(operation: Operation, options: Options, statistics: RouterStatistics) -> Decision:
        return Decision(Route.PYTHON, "because", "optimizer")

    bench = Bench(dspy_run=answering({"answer": "yes"}))
    bench.router.strategies.register("mine", to_optimizer)
    await bench.run(predict("q -> answer", route="mine"), {"q": "?"})
    assert bench.backend.calls[0].pool == "optimizer"


async def test_an_unknown_strategy_is_a_configuration_error() -> None:
    """route= with a name that nobody registered fails before anything runs."""
    with pytest.raises(ConfigurationError):
        await Bench().run(native(lambda: 1, route="nativ"), {})


async def test_statistics_add_up() -> None:
    """Every call ends in one of the counts."""
    bench = Bench(dspy_run=answering({"answer": "yes"}, ModelError("no")))
    await bench.run(predict("q -> answer"), {"q": "?"})
    with pytest.raises(ModelError):
        await bench.run(predict("q -> answer"), {"q": "?"})
    await bench.run(native(lambda: 1, route="auto"), {})
    statistics = bench.router.statistics()
    assert (statistics.calls, statistics.succeeded, statistics.failed, statistics.in_flight) == (3, 2, 1, 0)
    assert dict(statistics.by_target) == {"general": 2, "notebook": 1}
    assert repr(bench.router) == "<Router [python, local/tiny, calls: 3, in flight: 0, failed: 1]>"
