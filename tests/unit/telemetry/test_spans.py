"""Spans and the tracer: parentage over tasks, threads and processes, status, and nothing secret inside."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading

import pytest

from dspex_lab.calls import TraceContext
from dspex_lab.errors import Cancelled, PythonError, WorkerLost
from dspex_lab.telemetry.attributes import INPUT_TOKENS, REQUEST_MODEL
from dspex_lab.telemetry.spans import (
    ActiveSpan,
    Span,
    Tracer,
    current_trace,
    from_traceparent,
    to_traceparent,
    use_trace,
)
from dspex_lab.testing import FakeClock


@pytest.fixture
def spans() -> list[Span]:
    return []


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(start=1_000.0)


@pytest.fixture
def tracer(spans: list[Span], clock: FakeClock) -> Tracer:
    return Tracer(spans.append, clock)


def test_a_span_is_a_frozen_value_with_its_times(tracer: Tracer, spans: list[Span], clock: FakeClock) -> None:
    """Start and end are epoch seconds of the clock; attributes are the ones that were set."""
    with tracer.span("chat m", {REQUEST_MODEL: "m", "absent": None}) as active:
        clock.advance(2.5)
        active.set({INPUT_TOKENS: 3})
    (span,) = spans
    assert (span.name, span.start, span.end, span.duration_s, span.status) == ("chat m", 1_000.0, 1_002.5, 2.5, "ok")
    assert span.attributes == {REQUEST_MODEL: "m", INPUT_TOKENS: 3}
    with pytest.raises(AttributeError):
        span.name = "other"  # type: ignore[misc]


def test_ids_have_opentelemetrys_form(tracer: Tracer) -> None:
    """32 and 16 hexadecimal digits, lower case."""
    span = tracer.span("x").end()
    assert (len(span.trace_id), len(span.span_id)) == (32, 16)
    assert span.context == from_traceparent(to_traceparent(span.context))


def test_a_span_inside_another_is_its_child(tracer: Tracer, spans: list[Span]) -> None:
    """The current span is the parent of what begins inside, and the one before is current again after."""
    with tracer.span("outer") as outer:
        with tracer.span("inner"):
            pass
        assert current_trace() == outer.context
    inner, ended = spans
    assert (inner.trace_id, inner.parent_id, ended.parent_id) == (ended.trace_id, ended.span_id, None)
    assert current_trace() is None


async def test_tasks_do_not_mix_their_spans(tracer: Tracer, spans: list[Span]) -> None:
    """100 tasks at once: each one's inner span hangs under its own outer one."""

    async def work(number: int) -> None:
        with tracer.span(f"outer {number}"):
            await asyncio.sleep(0)
            with tracer.span(f"inner {number}"):
                await asyncio.sleep(0)

    await asyncio.gather(*(work(number) for number in range(100)))
    outer = {span.span_id: span for span in spans if span.name.startswith("outer")}
    inner = [span for span in spans if span.name.startswith("inner")]
    assert all(outer[str(span.parent_id)].name.split()[1] == span.name.split()[1] for span in inner)
    assert len(inner) == 100


def test_a_context_is_handed_to_a_thread(tracer: Tracer, spans: list[Span]) -> None:
    """A thread that is given the context hangs its spans under it."""

    def work(context: TraceContext | None) -> None:
        with use_trace(context), tracer.span("in thread"):
            pass

    with tracer.span("outer"):
        thread = threading.Thread(target=work, args=(current_trace(),))
        thread.start()
        thread.join()
    assert spans[0].parent_id == spans[1].span_id


def test_a_context_crosses_a_process_border(tracer: Tracer) -> None:
    """A span of a child process, sent back as plain data, hangs under the span of this one."""
    script = (
        "import json, sys\n"
        "from dspex_lab.telemetry.spans import Tracer, from_traceparent\n"
        "span = Tracer().span('there', parent=from_traceparent(sys.argv[1])).end()\n"
        "sys.stdout.write(json.dumps(span.to_dict()))\n"
    )
    with tracer.span("here") as here:
        command = [sys.executable, "-c", script, to_traceparent(here.context)]
        out = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    there = Span.from_dict(json.loads(out))
    assert (there.trace_id, there.parent_id, there.name) == (here.context.trace_id, here.context.span_id, "there")


@pytest.mark.parametrize(
    "header",
    ["", "00", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "ff-" + "1" * 32 + "-" + "1" * 16 + "-01", "00-XY-1-01"],
)
def test_a_header_that_is_none_gives_no_context(header: str) -> None:
    """A broken traceparent is ignored, as the standard asks."""
    assert from_traceparent(header) is None


def test_an_exception_makes_an_error_and_goes_on(tracer: Tracer, spans: list[Span]) -> None:
    """The span tells the type and the message; the exception is not swallowed."""
    with pytest.raises(WorkerLost), tracer.span("call"):
        raise WorkerLost("The worker died.", hint="Run it again.")
    assert (spans[0].status, spans[0].message) == ("error", "The worker died.")
    assert spans[0].attributes == {"error.type": "WorkerLost"}


def test_a_workers_error_is_called_by_its_own_type(tracer: Tracer) -> None:
    """error.type of a PythonError is the foreign exception's name."""
    span = tracer.span("call")
    span.fail(PythonError("boom", "traceback", "KeyError"))
    assert span.end().attributes == {"error.type": "KeyError"}


@pytest.mark.parametrize("error", [Cancelled("stop"), asyncio.CancelledError(), KeyboardInterrupt()])
def test_cancelled_is_no_failure(tracer: Tracer, error: BaseException) -> None:
    """What was cancelled says so, and does not count as an error."""
    span = tracer.span("call")
    span.fail(error)
    assert span.end().status == "cancelled"


def test_ending_twice_tells_the_observer_once(tracer: Tracer, spans: list[Span]) -> None:
    """end() is idempotent."""
    active = tracer.span("once")
    assert active.end() is active.end()
    assert len(spans) == 1


def test_secrets_never_get_in(tracer: Tracer) -> None:
    """Neither a key's attribute nor a key inside a message reaches the span."""
    active = tracer.span("chat", {"api_key": "sk-abcdefghijklmnop123456", "lm": {"Authorization": "Bearer x"}})
    active.fail(ValueError("refused sk-abcdefghijklmnop123456"))
    text = repr(active.end())
    assert "sk-abc" not in text
    assert "Bearer" not in text


def test_prompts_stay_out_where_they_are_off(spans: list[Span]) -> None:
    """With record_prompts off, neither messages nor an error's text get in."""
    with (
        pytest.raises(ValueError, match="mine"),
        Tracer(spans.append, record_prompts=False).span("chat", {"gen_ai.input.messages": "mine", INPUT_TOKENS: 1}),
    ):
        raise ValueError("mine")
    assert "mine" not in repr(spans)
    assert spans[0].attributes == {INPUT_TOKENS: 1, "error.type": "ValueError"}


def test_work_that_is_over_can_be_recorded(tracer: Tracer, spans: list[Span]) -> None:
    """A queue's wait is told afterwards, with both of its times."""
    with tracer.span("call") as active:
        tracer.record("queue", {"dspex.pool": "general"}, start=990.0, end=995.0)
    assert (spans[0].start, spans[0].end, spans[0].parent_id) == (990.0, 995.0, active.context.span_id)


def test_an_observer_that_fails_is_detached(caplog: pytest.LogCaptureFixture) -> None:
    """The first failure is logged, and the work goes on."""
    calls: list[Span] = []

    def observer(span: Span) -> None:
        calls.append(span)
        raise RuntimeError("broken panel")

    tracer = Tracer(observer)
    with caplog.at_level(logging.WARNING):
        tracer.span("a").end()
        tracer.span("b").end()
    assert (len(calls), repr(tracer)) == (1, "<Tracer [unobserved, started: 2, ended: 2]>")


async def test_an_async_generator_may_be_closed_elsewhere(tracer: Tracer, spans: list[Span]) -> None:
    """A span begun in one context and ended in another ends without an error."""
    active: ActiveSpan = tracer.span("stream")

    async def begin() -> None:
        active.__enter__()

    await asyncio.create_task(begin())
    active.__exit__(None, None, None)
    assert spans[0].name == "stream"


def test_a_span_survives_plain_data(tracer: Tracer) -> None:
    """to_dict and from_dict are inverse, through JSON too."""
    span = tracer.span("x", {"a": [1, {"b": "c"}]}).end()
    assert Span.from_dict(json.loads(json.dumps(span.to_dict()))) == span
