"""OTLP over HTTP, against a receiver that reads OpenTelemetry's own messages."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from dspex_lab.errors import ConfigurationError
from dspex_lab.telemetry import Span, Trace
from dspex_lab.telemetry.export import OtlpTarget, encode_spans
from tests.unit.telemetry.export.receiver import Receiver, plain

TRACE, RUN, CALL = "0a" * 16, "0b" * 8, "0c" * 8
SECRET = "sk-" + "s3cr3t" * 4
ATTRIBUTES = {
    "dspex.kind": "lm",
    "gen_ai.request.model": "openai/x",
    "gen_ai.usage.input_tokens": 7,
    "dspex.cost_usd": 0.25,
    "dspex.cache.hit": True,
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.input.messages": [{"role": "user", "content": f"is {SECRET} mine?"}],
    "api_key": SECRET,
}
SPANS = [
    Span(TRACE, RUN, None, "run support", 1_700_000_000.25, 1_700_000_003.5, "error", {}, "it failed"),
    Span(TRACE, CALL, RUN, "chat x", 1_700_000_001.0, 1_700_000_002.0, "ok", ATTRIBUTES),
    Span(TRACE, "0d" * 8, RUN, "step b", 1_700_000_001.0, 1_700_000_002.0, "cancelled", {}),
]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


def test_ids_parents_status_and_times_arrive(receiver: Receiver) -> None:
    """As they are here; a cancelled span is no error to the other side, and says what it is."""
    assert Trace.of(SPANS).to_otlp(receiver.endpoint) == 3
    by_name = {one.name: one for one in receiver.spans}
    run, chat, step = by_name["run support"], by_name["chat x"], by_name["step b"]
    assert {one.trace_id.hex() for one in (run, chat, step)} == {TRACE}
    assert (run.span_id.hex(), run.parent_span_id, chat.parent_span_id.hex()) == (RUN, b"", RUN)
    assert (run.start_time_unix_nano, run.end_time_unix_nano) == (1_700_000_000_250_000_000, 1_700_000_003_500_000_000)
    assert (run.status.code, run.status.message) == (run.status.STATUS_CODE_ERROR, "it failed")
    assert chat.status.code == chat.status.STATUS_CODE_OK
    assert (step.status.code, plain(step.attributes)) == (step.status.STATUS_CODE_UNSET, {"dspex.status": "cancelled"})
    assert (chat.kind, run.kind) == (chat.SPAN_KIND_CLIENT, run.SPAN_KIND_INTERNAL)


def test_attributes_arrive_with_their_types(receiver: Receiver) -> None:
    """Numbers, flags and lists as such; what is nested as JSON; a secret not at all."""
    Trace.of(SPANS).to_otlp(receiver.endpoint)
    (chat,) = [one for one in receiver.spans if one.name == "chat x"]
    assert plain(chat.attributes) == {
        "dspex.kind": "lm",
        "gen_ai.request.model": "openai/x",
        "gen_ai.usage.input_tokens": 7,
        "dspex.cost_usd": 0.25,
        "dspex.cache.hit": True,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.input.messages": '[{"role": "user", "content": "is [redacted] mine?"}]',
    }
    assert SECRET.encode() not in b"".join(receiver.bodies)


def test_the_service_is_named(receiver: Receiver) -> None:
    """So that receivers can tell it from others."""
    Trace.of(SPANS).to_otlp(receiver.endpoint)
    (resource,) = receiver.requests[0].resource_spans
    assert plain(resource.resource.attributes)["service.name"] == "dspex-lab"
    assert resource.scope_spans[0].scope.name == "dspex_lab"


def test_headers_and_path_are_as_asked_for(receiver: Receiver) -> None:
    """A bare address gets OpenTelemetry's own path, another one is left as it is."""
    for endpoint in (receiver.endpoint, f"{receiver.endpoint}/", f"{receiver.endpoint}/api/v1/traces"):
        OtlpTarget.create(endpoint, "x-key=a%20b,  x-other=c").send(SPANS)
    assert receiver.paths == ["/v1/traces", "/v1/traces", "/api/v1/traces"]
    assert (receiver.headers[0]["x-key"], receiver.headers[0]["x-other"]) == ("a b", "c")
    assert receiver.headers[0]["content-type"] == "application/x-protobuf"


def test_spans_that_the_receiver_rejects_do_not_count(receiver: Receiver) -> None:
    """It says how many in its answer."""
    receiver.rejects = 2
    assert OtlpTarget(receiver.endpoint).send(SPANS) == 1


@pytest.mark.parametrize(("status", "is_retryable"), [(503, True), (429, True), (401, False), (400, False)])
def test_a_receiver_that_says_no_is_an_error_that_says_whether_it_may_say_yes(
    receiver: Receiver, status: int, is_retryable: bool
) -> None:
    """One sentence with the status, and no header in it."""
    receiver.status = status
    with pytest.raises(ConfigurationError, match=f"HTTP {status}") as caught:
        OtlpTarget(receiver.endpoint, {"authorization": SECRET}).send(SPANS)
    assert caught.value.retryable is is_retryable
    assert SECRET not in str(caught.value) + repr(OtlpTarget(receiver.endpoint, {"authorization": SECRET}))


def test_nobody_there_is_an_error_that_may_pass() -> None:
    """And the address is shown without what stands before the host."""
    with pytest.raises(ConfigurationError, match="did not take") as caught:
        OtlpTarget("http://user:password@127.0.0.1:9").send(SPANS)
    assert caught.value.retryable
    assert "password" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["localhost:4318", "ftp://x", "http://", ""])
def test_what_is_no_address_is_told_at_once(endpoint: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigurationError, match="no address"):
        OtlpTarget(endpoint)


def test_headers_that_are_none_are_refused_and_not_shown() -> None:
    """A key that was pasted without its name stays unseen."""
    with pytest.raises(ConfigurationError, match="header 2") as caught:
        OtlpTarget.create("http://x", f"a=b,{SECRET}")
    assert SECRET not in str(caught.value)


def test_a_missing_package_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages are an extra."""
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.trace.v1", None)
    with pytest.raises(ConfigurationError, match=r"dspex-lab\[otlp\]"):
        encode_spans(SPANS)


def test_a_span_without_real_ids_is_left_out() -> None:
    """It would be refused together with all the others."""
    odd = Span("no id", RUN, None, "odd", 1.0, 2.0)
    _, count = encode_spans([odd, *SPANS])
    assert count == 3
