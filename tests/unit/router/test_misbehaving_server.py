"""Recovery for real: the hybrid route, the worker's own engine and HTTP, against a server that misbehaves on purpose.

Waits before retries are the fake clock's, and pass as soon as somebody waits; only a limit on the server's silence is a
short time of the machine's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from dspex_lab.backends.inline import InlineBackend
from dspex_lab.calls import Chunk, LmSpec, Usage
from dspex_lab.errors import BudgetExceeded, CircuitOpen, DeadlineExceeded, LabError, ModelError, ValidationError
from dspex_lab.pipelines import native, predict
from dspex_lab.pipelines.steps.step import Leaf
from dspex_lab.router import Account, BreakerPolicy, Budget, Circuit, Outcome, Router, RunContext
from dspex_lab.telemetry.events import Event, EventHub
from dspex_lab.testing import FakeClock
from dspex_lab.testing.openai_server import OpenAiServer
from dspex_lab.testing.scripted_answers import Behaviour
from dspex_lab.worker.engines import close_engines

ASK = predict("q -> answer")
GOOD = Behaviour(text="[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]")
BUSY = Behaviour(status=429, headers={"retry-after": "7"})
BROKEN = Behaviour(status=500)
SILENCE_S = 0.15


class Remote:
    """A router whose model is the server's, and what it told."""

    def __init__(self, backend: InlineBackend, server: OpenAiServer) -> None:
        self.server = server
        self.server.behaviour = GOOD
        self.clock = FakeClock()
        self.hub = EventHub(self.clock)
        self.events: list[Event] = []
        self.hub.on("*", self.events.append)
        self.lm = LmSpec("openai/model", api_base=server.api_base, timeout_s=30)
        self.router = Router(
            backend, self.lm, hub=self.hub, clock=self.clock, breaker_policy=BreakerPolicy(failures=4, rest_s=20)
        )

    async def run(self, leaf: Leaf, **more: Any) -> Outcome:
        """Run the step; whoever waits before a retry has waited."""
        return await self.patiently(self.router.execute(leaf.operation, {"q": "?"}, options=leaf.options, **more))

    async def patiently(self, work: Coroutine[Any, Any, Outcome]) -> Outcome:
        task = asyncio.ensure_future(work)
        while not task.done():
            waiting = asyncio.ensure_future(self.clock.wait_for_sleepers())
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if not task.done():
                self.clock.advance(60)
        return await task

    async def failure(self, leaf: Leaf, **more: Any) -> LabError:
        with pytest.raises(LabError) as caught:
            await self.run(leaf, **more)
        return caught.value

    def named(self, name: str) -> list[Mapping[str, Any]]:
        return [event.attributes for event in self.events if event.name == name]


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with OpenAiServer() as running:
        yield running


@pytest.fixture
async def remote(server: OpenAiServer) -> AsyncIterator[Remote]:
    backend = InlineBackend()
    await backend.open()
    yield Remote(backend, server)
    await backend.aclose()
    await close_engines()


def hasty(remote: Remote) -> LmSpec:
    """The model, with little patience for silence."""
    return replace(remote.lm, timeout_s=SILENCE_S)


# --- what is tried again ------------------------------------------------------------------------------------------


async def test_a_rate_limit_is_waited_for(remote: Remote) -> None:
    """The header reaches the wait before the next try, and the trace."""
    remote.server.play(BUSY)
    outcome = await remote.run(ASK)
    assert (outcome.outputs, outcome.retries) == ({"answer": "yes"}, 1)
    (retry,) = remote.named("router.retry")
    assert retry["asked_s"] == 7.0
    assert retry["wait_s"] >= 7.0
    assert "limits the rate" in retry["reason"]


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (BROKEN, "failed (500)"),
        (Behaviour(status=503), "failed (503)"),
        (Behaviour(raw=b"<html>gateway</html>"), "is no JSON"),
        (Behaviour(raw=b"[1, 2]"), "is no object"),
        (replace(GOOD, cut_after=2), "in the middle of its answer"),
    ],
)
@pytest.mark.parametrize("is_streaming", [False, True])
async def test_passing_troubles_are_tried_again(
    remote: Remote, trouble: Behaviour, reason: str, is_streaming: bool
) -> None:
    """Errors of the server, answers that are none and connections that break, streamed or not."""
    remote.server.play(trouble)
    outcome = await remote.run(predict("q -> answer", stream=is_streaming))
    assert (outcome.outputs, outcome.retries) == ({"answer": "yes"}, 1)
    assert reason in remote.named("router.retry")[0]["reason"]


@pytest.mark.parametrize("is_streaming", [False, True])
async def test_an_answer_with_nothing_in_it_is_asked_for_again(remote: Remote, is_streaming: bool) -> None:
    """No choice at all, as some endpoints send when they are in trouble."""
    remote.server.play(*[Behaviour(raw=b'{"choices": []}', text="")] * 2)
    outcome = await remote.run(predict("q -> answer", stream=is_streaming))
    assert outcome.outputs == {"answer": "yes"}
    assert len(remote.server.requests) == 3


async def test_silence_ends_with_the_model_s_time(remote: Remote) -> None:
    """A server that says nothing is asked again when the model's time is over."""
    remote.server.play(Behaviour(is_silent=True))
    outcome = await remote.run(predict("q -> answer", lm=hasty(remote)))
    assert (outcome.outputs, outcome.retries) == ({"answer": "yes"}, 1)
    assert remote.named("router.retry")[0]["error_type"] == "DeadlineExceeded"


async def test_bytes_that_drip_are_put_together(remote: Remote) -> None:
    """An answer that comes byte by byte is an answer like any other."""
    remote.server.play(replace(GOOD, is_bytewise=True))
    assert (await remote.run(ASK)).retries == 0


async def test_bytes_that_drip_for_too_long_end_with_the_model_s_time(remote: Remote) -> None:
    """That something comes is not enough: the whole answer has a limit."""
    remote.server.play(replace(GOOD, is_bytewise=True, delay_s=0.02))
    outcome = await remote.run(predict("q -> answer", lm=hasty(remote)))
    assert outcome.retries == 1


async def test_the_tries_come_to_an_end(remote: Remote) -> None:
    """After the policy's retries the last error is the error."""
    remote.server.play(BROKEN, BROKEN, BROKEN)
    error = await remote.failure(ASK)
    assert isinstance(error, ModelError)
    assert (error.status, len(remote.server.requests)) == (500, 3)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_is_not_tried_again(remote: Remote, status: int) -> None:
    """A wrong key or name stays wrong."""
    remote.server.play(Behaviour(status=status))
    error = await remote.failure(ASK)
    assert isinstance(error, ModelError)
    assert (error.status, len(remote.server.requests)) == (status, 1)


async def test_a_wait_past_the_step_s_time_is_not_begun(remote: Remote) -> None:
    """A step that has three seconds does not wait for seven."""
    remote.server.play(BUSY)
    error = await remote.failure(predict("q -> answer", timeout_s=3))
    assert isinstance(error, DeadlineExceeded)
    assert len(remote.server.requests) == 1


# --- what is asked again ------------------------------------------------------------------------------------------


async def test_an_answer_that_breaks_its_signature_is_shown_to_the_model(remote: Remote) -> None:
    """The validator's words are in the next question, and both answers are counted."""
    number = Behaviour(text="[[ ## answer ## ]]\n9\n\n[[ ## completed ## ]]")
    remote.server.play(number)
    remote.server.behaviour = replace(number, text="[[ ## answer ## ]]\n4\n\n[[ ## completed ## ]]")
    outcome = await remote.run(predict("q: str\n->\nanswer: Annotated[int, Field(le=5)]"))
    assert (outcome.outputs, outcome.retries, outcome.usage.lm_calls) == ({"answer": 4}, 1, 2)
    assert "9" in remote.server.requests[1]["messages"][0]["content"]


async def test_a_model_that_never_answers_in_form_fails_in_the_end(remote: Remote) -> None:
    """So often as was said, in both forms, and then with the validator's error."""
    remote.server.behaviour = Behaviour(text="As a large language model I like to chat.")
    error = await remote.failure(predict("q -> answer: int", output_retries=1))
    assert isinstance(error, ValidationError)
    assert len(remote.server.requests) == 4


# --- circuits, fallbacks, budgets, caches -------------------------------------------------------------------------


async def test_a_broken_server_is_left_alone_until_it_answers_a_probe(remote: Remote) -> None:
    """Failures in a row open its circuit, and nobody asks; after a rest the first answer closes it."""
    remote.server.behaviour = BROKEN
    once = predict("q -> answer", retry=0)
    errors = [await remote.failure(once) for _ in range(6)]
    assert [type(error) for error in errors] == [ModelError] * 4 + [CircuitOpen] * 2
    assert "4 failures in a row. The last said: openai/model failed (500)" in errors[-1].message
    assert len(remote.server.requests) == 4
    remote.server.behaviour = GOOD
    remote.clock.advance(20)
    assert (await remote.run(ASK)).outputs == {"answer": "yes"}
    assert [one["state"] for one in remote.named("router.circuit")] == ["open", "half-open", "closed"]


async def test_many_at_once_on_a_server_that_limits_them_do_not_open_its_circuit(remote: Remote) -> None:
    """A rate limit is no failure: everyone waits, and everyone gets an answer."""
    remote.server.play(*[BUSY] * 12)
    outcomes = await asyncio.gather(*(remote.run(predict("q -> answer", retry=5)) for _ in range(12)))
    assert [one.outputs for one in outcomes] == [{"answer": "yes"}] * 12
    assert remote.router.breakers.statistics()[0].state is Circuit.CLOSED


async def test_another_model_takes_over(remote: Remote) -> None:
    """When the first has failed for good, the next is asked, and then a function."""
    remote.server.play(Behaviour(status=404), Behaviour(status=404))
    leaf = predict("q -> answer", fallback=["openai/other", native(lambda q: f"guess: {q}")])
    assert (await remote.run(leaf)).outputs == {"answer": "guess: ?"}
    assert [request["model"] for request in remote.server.requests] == ["model", "other"]
    reasons = [one["reason"] for one in remote.named("router.route")]
    assert [reason.partition(",")[0] for reason in reasons[1:]] == ["fallback 1", "fallback 2"]


async def test_a_budget_counts_what_the_server_said(remote: Remote) -> None:
    """Every response is charged, refused ones too, and the next try is not made."""
    remote.server.behaviour = Behaviour(text="no form at all")
    account = Account(Budget(max_tokens_total=1), remote.clock)
    context = RunContext(remote.hub.emit, "run", "step", account=account)
    error = await remote.failure(predict("q -> answer: int"), context=context)
    assert isinstance(error, BudgetExceeded)
    seen = remote.server.statistics()
    assert account.spent == Usage(seen.input_tokens, seen.output_tokens, None, 1)
    assert (seen.requests, account.statistics().unpriced_calls) == (1, 1)


async def test_equal_questions_reach_the_server_once(remote: Remote) -> None:
    """However many ask, at once and later; and a failed try is nobody's answer."""
    remote.server.play(BROKEN)
    leaf = predict("q -> answer", cache=True)
    outcomes = await asyncio.gather(*(remote.run(leaf) for _ in range(8)))
    outcomes.append(await remote.run(leaf))
    assert [one.outputs for one in outcomes] == [{"answer": "yes"}] * 9
    assert sum(one.usage.lm_calls for one in outcomes) == 1
    assert len(remote.server.requests) == 2


async def test_what_is_kept_streams_like_what_was_made(remote: Remote) -> None:
    """The same text for each field, in one piece."""
    leaf = predict("q -> answer", cache=True)
    made: list[Chunk] = []
    kept: list[Chunk] = []
    await remote.run(leaf, on_chunk=made.append)
    await remote.run(leaf, on_chunk=kept.append)
    assert "".join(chunk.text for chunk in made) == "".join(chunk.text for chunk in kept) == "yes"
    assert len(kept) == 1
