"""One trace over process borders: what a call did is found in the store under its caller's span, and adds up."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.calls import Call, Code, LmSpec, TraceContext, new_id
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.telemetry import Span, TraceReader, new_span_id
from dspex_lab.testing.openai_server import OpenAiServer
from dspex_lab.testing.scripted_answers import says
from dspex_lab.testing.site import LIMIT_S, Site

SECRET = "sk-" + "s3cr3t" * 4


async def traced(settings: Settings, server: OpenAiServer, trace: TraceContext, *runs: dict[str, Any]) -> list[Span]:
    """The spans of ``trace`` once the host has written them all: it does so before it leaves."""
    backend = KernelBackend(settings)
    lm = msgspec.to_builtins(LmSpec("openai/scripted", api_base=server.api_base, api_key=SECRET))
    try:
        async with asyncio.timeout(LIMIT_S):
            calls = [Call("dspy.run", {"lm": lm, **run}, trace=trace, timeout_s=LIMIT_S) for run in runs]
            await asyncio.gather(*(backend.submit(call).result() for call in calls))
            while True:
                with TraceReader(settings.trace_file) as reader:
                    spans = list(reader.spans(trace.trace_id))
                if sum(span.name.startswith("chat ") for span in spans) >= len(server.requests):
                    return spans
                await asyncio.sleep(0.05)
    finally:
        await backend.aclose()


def find_order(number: int) -> str:
    """Say where the order is."""
    return f"order {number} is on its way"


async def test_modules_tools_and_attempts_hang_under_the_call(site: Site, server: OpenAiServer) -> None:
    """ReAct's loop is seen as it was: modules below modules, its tool, and an attempt for each question."""
    server.play(
        says(next_thought="look", next_tool_name="find_order", next_tool_args='{"number": 7}'),
        says(next_thought="done", next_tool_name="finish", next_tool_args="{}"),
        says(reasoning="so", answer="on its way"),
    )
    trace = TraceContext(new_id(), new_span_id())
    run = {
        "kind": "react",
        "inputs": {"question": "Where is order 7?"},
        "signature": {"text": "question -> answer"},
        "options": {"tools": [Code(find_order)]},
    }
    spans = {span.span_id: span for span in await traced(site.settings(preload=("dspy",)), server, trace, run)}
    by_name = {span.name: span for span in spans.values()}

    def path(name: str) -> list[str]:
        names, span = [], by_name.get(name)
        while span is not None:
            names.append(span.name)
            span = spans.get(span.parent_id or "")
        return names

    assert path("execute_tool find_order") == ["execute_tool find_order", "ReAct", "pool dspy.run"]
    assert path("chat openai/scripted")[0] == "chat openai/scripted"
    assert path("chat openai/scripted")[-2:] == ["ReAct", "pool dspy.run"]
    assert by_name["pool dspy.run"].parent_id == trace.span_id


async def test_tokens_are_those_of_the_server_over_many_calls_at_once(site: Site, server: OpenAiServer) -> None:
    """What the spans of the attempts and of the calls say was used is what the server counted, none twice."""
    trace = TraceContext(new_id(), new_span_id())
    server.behaviour = says(answer="four words of answer")
    runs = [
        {"kind": "predict", "inputs": {"question": "x " * number}, "signature": {"text": "question -> answer"}}
        for number in range(1, 33)
    ]
    pools = (PoolSpec(name="general", size=2, concurrency=8),)
    spans = await traced(site.settings(*pools, preload=("dspy",)), server, trace, *runs)
    counted = server.statistics()
    for name in ("chat openai/scripted", "pool dspy.run"):
        these = [span.attributes for span in spans if span.name == name]
        assert len(these) == len(runs)
        assert sum(one["gen_ai.usage.input_tokens"] for one in these) == counted.input_tokens
        assert sum(one["gen_ai.usage.output_tokens"] for one in these) == counted.output_tokens


async def test_the_key_is_in_no_span(site: Site, server: OpenAiServer) -> None:
    """Neither the key nor a header with it is written down, also where a user's text has one in it."""
    trace = TraceContext(new_id(), new_span_id())
    server.behaviour = says(answer="no")
    run = {"kind": "predict", "inputs": {"question": f"is {SECRET} mine?"}, "signature": {"text": "question -> answer"}}
    settings = site.settings(preload=("dspy",))
    await traced(settings, server, trace, run)
    for path in settings.trace_file.parent.glob("traces.sqlite*"):
        assert SECRET.encode() not in path.read_bytes()
