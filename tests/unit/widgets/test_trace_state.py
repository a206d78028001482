"""A trace as the front end is told of it, and its static forms."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dspex_lab.telemetry.spans import Span
from dspex_lab.widgets.trace_form import trace_html
from dspex_lab.widgets.trace_state import span_attributes, span_kind, trace_message


def span(number: int, parent: int | None = None, start: float = 0.0, took: float = 1.0, **more: Any) -> Span:
    status, message, name = more.pop("status", "ok"), more.pop("message", ""), more.pop("name", f"span {number}")
    parent_id = None if parent is None else f"{parent:016x}"
    attributes = {key.replace("__", "."): value for key, value in more.items()}
    return Span(
        "a" * 32, f"{number:016x}", parent_id, name, 100.0 + start, 100.0 + start + took, status, attributes, message
    )


def ids(message: dict[str, Any]) -> list[int]:
    return [int(one["id"], 16) for one in message["spans"]]


def test_parents_come_before_children() -> None:
    """Spans come in the order of their tree, siblings by their start, whatever order they are told in."""
    spans = [span(4, 2, 0.3), span(3, 1, 0.5), span(2, 1, 0.1), span(1)]
    assert ids(trace_message(spans, now=0)) == [1, 2, 4, 3]


def test_times_are_since_the_traces_start() -> None:
    """The trace begins with its earliest span and ends with its latest."""
    message = trace_message([span(1, None, 2.0, 1.0), span(2, 1, 2.5, 4.0)], now=0)
    assert message["started_at"] == 102.0
    assert message["duration_s"] == 4.5
    assert [one["start_s"] for one in message["spans"]] == [0.0, 0.5]


def test_a_span_whose_parent_is_not_there_is_a_root() -> None:
    """A trace that is not whole yet shows what there is."""
    message = trace_message([span(2, 99)], now=0)
    assert message["spans"][0]["parent"] is None


def test_a_circle_of_parents_does_no_harm() -> None:
    """Each span is there once."""
    assert sorted(ids(trace_message([span(1, 2), span(2, 1), span(3, 3)], now=0))) == [1, 2, 3]


def test_a_trace_without_spans_is_empty() -> None:
    """Nothing was told yet."""
    message = trace_message([], now=5.0, is_running=True)
    assert (message["spans"], message["duration_s"], message["status"]) == ([], 0.0, "running")


def test_a_running_trace_has_taken_until_now() -> None:
    """Its length grows with the clock."""
    assert trace_message([span(1)], now=107.0, is_running=True)["duration_s"] == 7.0


def test_a_trace_fails_where_its_root_does() -> None:
    """A span below that failed may have been tried again."""
    assert trace_message([span(1), span(2, 1, status="error")], now=0)["status"] == "ok"
    assert trace_message([span(1, status="error")], now=0)["status"] == "error"


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"dspex__kind": "tool"}, "tool"),
        ({"dspex__kind": "unheard of"}, "other"),
        ({"gen_ai__operation__name": "chat"}, "lm"),
        ({"gen_ai__operation__name": "execute_tool"}, "tool"),
        ({"name": "pool lm.complete"}, "call"),
        ({"dspex__step": "triage", "dspex__run__id": "r"}, "step"),
        ({"dspex__run__id": "r"}, "run"),
        ({"dspex__route": "native"}, "native"),
        ({}, "other"),
    ],
)
def test_a_span_says_or_shows_what_it_is(told: dict[str, Any], kind: str) -> None:
    """Its own word first, then what its attributes tell."""
    assert span_kind(span(1, **told)) == kind


def test_many_long_texts_make_a_bounded_message() -> None:
    """The more spans there are, the more their texts are cut; such a span says so."""
    message = trace_message([span(number, gen_ai__input__messages="x" * 20_000) for number in range(1, 2_001)], now=0)
    assert len(json.dumps(message)) < 4_000_000
    assert message["spans"][0]["is_cut"]


def test_a_few_texts_are_told_whole() -> None:
    """A trace of the usual size is not cut."""
    message = trace_message([span(1, dspex__inputs={"ticket": "x" * 5_000})], now=0)
    assert "is_cut" not in message["spans"][0]
    assert json.loads(message["spans"][0]["attributes"]["dspex.inputs"])["ticket"] == "x" * 5_000


def test_all_of_a_span_can_be_had() -> None:
    """What the message cuts is asked for by itself."""
    assert len(span_attributes(span(1, prompt="x" * 50_000))["prompt"]) == 50_000


def test_the_message_is_plain_data() -> None:
    """It goes through JSON as it is."""
    message = trace_message([span(1, dspex__inputs={"a": [1, None]}, dspex__cache__hit=True)], now=0)
    assert json.loads(json.dumps(message)) == message


def test_text_of_models_is_escaped() -> None:
    """What a model wrote is text in the page, never HTML."""
    spans = [span(1, name="<script>alert(1)</script>", dspex__outputs="<img onerror=x>", message="<b>")]
    html = trace_html(trace_message(spans, now=0))
    assert "<script" not in html
    assert "<img" not in html
    assert "<b>" not in html


def test_the_static_form_has_no_script_and_no_class_of_the_page() -> None:
    """Inline styles only: it shows where style sheets are taken away."""
    html = trace_html(trace_message([span(1), span(2, 1, status="error", message="No.")], now=0))
    assert "<style" not in html
    assert "No." in html


def test_a_long_trace_is_shortened_in_its_static_form() -> None:
    """A saved notebook stays small; what is left out is said."""
    state = trace_message([span(1), *(span(number, 1) for number in range(2, 501))], now=0)
    assert "and 300 more spans" in trace_html(state)
