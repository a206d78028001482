"""A user's trace, whole: from what a notebook begins to the model's answer in another process, and its sums."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dspex_lab.lab import Lab, cell_ended, cells, use_lab
from dspex_lab.programs import chain_of_thought, native, parallel, pipeline, predict, react
from dspex_lab.settings import PoolSpec
from dspex_lab.telemetry import Span, Trace
from dspex_lab.testing.openai_server import OpenAiServer
from dspex_lab.testing.scripted_answers import Behaviour, says
from dspex_lab.testing.site import Site

SECRET = "sk-" + "s3cr3t" * 4
CALLS, THREADS = 1_000, 16


@pytest.fixture
def lab(site: Site, server: OpenAiServer, tmp_path: Path) -> Iterator[Lab]:
    pools = (PoolSpec(name="general", size=2, concurrency=8),)
    with Lab(site.settings(*pools, data_dir=tmp_path, preload=("dspy",))) as made:
        made.use_lm("openai/scripted", api_base=server.api_base, api_key=SECRET)
        before = use_lab(made)
        yield made
        use_lab(before)


def find_order(number: int) -> str:
    """Say where the order is."""
    return f"order {number} is on its way"


def path(trace: Trace, kind: str) -> list[str]:
    """The kinds from the last span of ``kind`` up to the root."""
    known = {span.span_id: span for span in trace.spans}
    span: Span | None = [one for one in trace.spans if one.attributes["dspex.kind"] == kind][-1]
    kinds = []
    while span is not None:
        kinds.append(str(span.attributes["dspex.kind"]))
        span = known.get(span.parent_id or "")
    return kinds


def test_a_cell_is_one_trace_down_to_the_model(lab: Lab, server: OpenAiServer) -> None:
    """Cell, run, steps of all routes, call, queue, module, tool and attempt hang under one another; none is loose."""
    server.play(
        says(next_thought="look", next_tool_name="find_order", next_tool_args='{"number": 7}'),
        says(next_thought="done", next_tool_name="finish", next_tool_args="{}"),
        says(reasoning="so", answer="on its way"),
        says(mood="calm"),
    )
    made = pipeline(
        "support",
        clean=native(lambda text: text.strip()),
        answer=react("clean -> answer", tools=[find_order]),
        rest=parallel(mood=predict("answer -> mood"), size=native(lambda answer: len(answer))),
    )
    cells.begin("made(text=...)")
    made(text=" Where is order 7? ")
    cell_ended(3, None)
    trace = lab.trace(str(lab.traces(1)["trace"].iloc[0]))
    assert (trace.name, trace.status) == ("cell [3]", "ok")
    assert path(trace, "tool") == ["tool", "module", "call", "step", "run", "cell"]
    assert path(trace, "queue") == ["queue", "call", "step", "step", "run", "cell"]
    assert path(trace, "lm") == ["lm", "call", "step", "step", "run", "cell"]
    assert path(trace, "native") == ["native", "step", "run", "cell"]
    assert [span.name for span in trace.spans if span.parent_id is None] == ["cell [3]"]
    ids = {span.span_id for span in trace.spans}
    assert all(span.parent_id in ids for span in trace.spans if span.parent_id)
    assert trace.usage.lm_calls == 4
    assert SECRET not in repr(trace) + str(trace.spans)


def test_a_batch_is_one_trace_down_to_the_model(lab: Lab, server: OpenAiServer) -> None:
    """Under its id: batch, rows, steps, calls and attempts hang under one another, and its steps are counted."""
    server.behaviour = says(mood="calm")
    made = pipeline("moods", clean=native(lambda text: text.strip()), mood=predict("clean -> mood"))
    batch = made.map([{"text": "a "}, {"text": "b "}], wait=False, progress=False)
    assert batch.result()["mood"].tolist() == ["calm", "calm"]
    trace = lab.trace(batch.id)
    assert (trace.name, trace.status, trace.usage.lm_calls) == ("batch moods", "ok", 2)
    assert path(trace, "lm") == ["lm", "call", "step", "run", "run"]
    assert path(trace, "native") == ["native", "run", "run"]
    assert [span.name for span in trace.spans if span.parent_id is None] == ["batch moods"]
    assert lab.statistics().steps["calls"].sum() >= 4


def test_a_run_is_found_by_its_id_without_the_rest_of_its_cell(lab: Lab, server: OpenAiServer) -> None:
    """The beginning of the id will do."""
    server.behaviour = says(answer="yes")
    program = predict("question -> answer")
    cells.begin("two of them")
    run, other = program.submit(question="a"), program.submit(question="b")
    run.result(), other.result()
    cell_ended(4, None)
    trace = lab.trace(run.id[:12])
    assert trace.name == "run predict"
    assert [span.attributes["dspex.kind"] for span in trace.spans] == ["run", "step", "call", "queue", "lm"]


def test_a_run_outside_of_a_cell_is_a_trace_of_its_own(lab: Lab, server: OpenAiServer) -> None:
    """Its id is the run's."""
    server.behaviour = says(reasoning="so", answer="yes")
    run = chain_of_thought("question -> answer").submit(question="a")
    run.result()
    trace = lab.trace(run.id)
    assert (trace.trace_id, trace.name) == (run.id, "run chain_of_thought")


def test_retries_are_seen_with_the_calls_that_they_made(lab: Lab, server: OpenAiServer) -> None:
    """The first call failed below the step, the second one is below the retry."""
    server.play(Behaviour(status=503), says(answer="yes"))
    run = predict("question -> answer", retry=1).submit(question="a")
    run.result()
    trace = lab.trace(run.id)
    known = {span.span_id: span for span in trace.spans}
    calls = [span for span in trace.spans if span.attributes["dspex.kind"] == "call"]
    ends = [(known[one.parent_id or ""].name, one.status) for one in calls]
    assert ends == [("step predict", "error"), ("retry 1", "ok")]


def test_sessions_and_jobs_are_part_of_their_cell(lab: Lab) -> None:
    """Their calls hang under it, those made on another thread too; outside of cells they are in no trace."""
    cells.begin("with lab.session(): ...")
    with lab.session() as session:
        session.call(len, "four")
        with ThreadPoolExecutor(1) as threads:
            threads.submit(session.call, len, "four").result()
    lab.start_job(len, "four").result()
    cell_ended(6, None)
    trace = lab.trace(str(lab.traces(1)["trace"].iloc[0]))
    assert [span.name for depth, span in trace.rows if depth == 1] == ["pool python.call"] * 3
    with lab.session() as session:
        session.call(len, "four")
    assert lab.traces(1)["trace"].iloc[0] == trace.trace_id


def test_many_calls_on_many_threads_add_up(lab: Lab, server: OpenAiServer) -> None:
    """A thousand calls over 16 threads: every token that the server counted is in exactly one span of an attempt, and
    each call, step and run says what its own attempt used."""
    server.behaviour = says(answer="four words of answer")
    program = predict("question -> answer")

    def ask(number: int) -> tuple[str, int, int]:
        run = program.submit(question="x " * (number % 50))
        used = run.result().metrics.usage
        return run.id, used.input_tokens, used.output_tokens

    cells.begin("a thousand")
    with ThreadPoolExecutor(THREADS) as threads:
        told = list(threads.map(ask, range(CALLS)))
    cell_ended(5, None)
    trace = lab.trace(str(lab.traces(1)["trace"].iloc[0]))
    counted = server.statistics()
    assert (trace.usage.lm_calls, trace.usage.input_tokens) == (CALLS, counted.input_tokens)
    assert trace.usage.output_tokens == counted.output_tokens
    assert sum(one[1] for one in told) == counted.input_tokens
    used: dict[str, int] = {}
    by_run: dict[str, tuple[int, int]] = {}
    for span in trace.spans:
        kind = str(span.attributes["dspex.kind"])
        used[kind] = used.get(kind, 0) + span.attributes.get("gen_ai.usage.input_tokens", 0)
        if kind == "run":
            tokens = span.attributes["gen_ai.usage.input_tokens"], span.attributes["gen_ai.usage.output_tokens"]
            by_run[span.attributes["dspex.run.id"]] = tokens
    assert {used[kind] for kind in ("run", "step", "call", "lm")} == {counted.input_tokens}
    assert [one for one in told if by_run[one[0]] != one[1:]] == []
    series = lab.request("statistics")["series"]
    assert sum(one["input_tokens"] for one in series if one["op"] == "lm.complete") >= counted.input_tokens
    assert lab.recorder.statistics().dropped == 0


async def test_tasks_of_one_loop_do_not_mix(lab: Lab, server: OpenAiServer) -> None:
    """Runs that are awaited side by side have each their own call and attempt."""
    server.behaviour = says(answer="yes")
    program = predict("question -> answer")
    runs = [program.submit(question=str(number)) for number in range(20)]
    await asyncio.gather(*runs)
    for run in runs:
        trace = await asyncio.to_thread(lab.trace, run.id)
        (attempt,) = [span for span in trace.spans if span.attributes["dspex.kind"] == "lm"]
        assert path(trace, "lm")[1:] == ["call", "step", "run"]
        assert str(run.inputs["question"]) in str(attempt.attributes["gen_ai.input.messages"])
