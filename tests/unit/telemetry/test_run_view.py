"""What is seen of a run, event by event, and the forms it is shown in."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.calls import Usage
from dspex_lab.errors import ValidationError
from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.run_view import RunView, StepStatus, StreamedText, render_html, render_text
from dspex_lab.telemetry.run_view.formats import cost, seconds

STEPS = [
    {"name": "triage", "kind": "predict"},
    {"name": "both", "kind": "parallel"},
    {"name": "summary", "kind": "chain_of_thought", "parent": "both"},
    {"name": "mood", "kind": "predict", "parent": "both"},
]


def start(*, at: float = 100.0, **more: Any) -> Event:
    return Event("run.start", at, {"run_id": "r", "pipeline": "support", "steps": STEPS, "inputs": {}, **more})


def step(name: str, status: str, *, at: float = 101.0, **more: Any) -> Event:
    return Event("pipeline.step", at, {"run_id": "r", "step": name, "status": status, **more})


def token(name: str, text: str, *, at: float = 102.0, field: str = "reply") -> Event:
    return Event("token", at, {"run_id": "r", "step": name, "field": field, "text": text, "sent_at": at})


def end(status: str = "succeeded", *, at: float = 110.0, **more: Any) -> Event:
    return Event("run.end", at, {"run_id": "r", "status": status, **more})


def seen(*events: Event) -> RunView:
    return seen_after(RunView(), *events)


def seen_after(view: RunView, *events: Event) -> RunView:
    for event in events:
        view = view.apply(event)
    return view


# --- the reducer --------------------------------------------------------------------------------------------------


def test_a_start_announces_every_step() -> None:
    """After run.start each step is pending, in the order in which it was announced."""
    view = seen(start())
    assert view.status is StepStatus.RUNNING
    assert [(one.name, one.status) for one in view.steps] == [(str(one["name"]), StepStatus.PENDING) for one in STEPS]


def told(name: str, **more: Any) -> Event:
    return Event(name, 103.0, {"run_id": "r", "step": "triage", **more})


def test_retries_are_counted_while_they_happen() -> None:
    """Before the step's end says how many there were; what is written anew stands on a line of its own."""
    view = seen(start(), step("triage", "running"), token("triage", "tick"), told("router.retry"))
    view = seen_after(view, token("triage", "ticket"), told("router.retry"))
    assert (view.step("triage").retries, view.step("triage").text) == (2, {"reply": "tick\nticket\n"})
    assert seen_after(view, step("triage", "succeeded", retries=2), told("router.retry")).step("triage").retries == 2


def test_a_circuit_that_changes_is_seen_at_its_step() -> None:
    """Why a step waits or fails at once is said where its route is."""
    change = told("router.circuit", target="openai/big", state="open", reason="10 failures in a row")
    view = seen(start(), step("triage", "running"), change)
    assert view.step("triage").reason == "circuit of openai/big is open: 10 failures in a row"


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled", "skipped"])
def test_a_step_ends_as_it_says(status: str) -> None:
    """A step takes the state and the duration that its last event names."""
    view = seen(start(), step("triage", "running"), step("triage", status, at=103.5))
    assert (view.step("triage").status, view.step("triage").duration_s) == (StepStatus(status), 2.5)


def test_a_step_that_never_ran_keeps_what_it_was_told() -> None:
    """A cached step that goes straight to its end has its outputs and its mark."""
    view = seen(start(), step("triage", "succeeded", cached=True, outputs={"category": "bug"}))
    assert (view.step("triage").cached, view.step("triage").outputs) == (True, {"category": "bug"})


def test_a_step_nobody_announced_gets_a_row() -> None:
    """An unknown step is shown, with its kind and its place, rather than lost."""
    view = seen(start(), step("extra", "running", kind="native", parent="both"))
    assert (view.step("extra").kind, view.step("extra").parent) == ("native", "both")


@pytest.mark.parametrize(
    "event",
    [
        Event("token", 1.0, {"run_id": "other", "step": "triage", "text": "x"}),
        Event("token", 1.0, {"step": "triage", "text": "x"}),
        Event("token", 1.0, {"run_id": "r", "step": "triage", "text": ""}),
        Event("token", 1.0, {"run_id": "r", "text": "x"}),
        Event("pipeline.step", 1.0, {"run_id": "r", "step": "triage", "status": "melted"}),
        Event("cache.hit", 1.0, {"run_id": "r", "step": "triage"}),
    ],
)
def test_what_says_nothing_of_this_run_changes_nothing(event: Event) -> None:
    """Another run's events, unknown ones and empty ones leave the very same view."""
    view = seen(start())
    assert view.apply(event) is view


def test_nothing_changes_after_the_end() -> None:
    """Events that come late, as after a cancel, are ignored."""
    view = seen(start(), end("cancelled"))
    assert view.apply(token("triage", "late")) is view


@pytest.mark.parametrize(("before", "after"), [("running", "cancelled"), (None, "skipped"), ("failed", "failed")])
def test_the_end_settles_what_is_left(before: str | None, after: str) -> None:
    """At the run's end a running step was cancelled, a waiting one skipped, and the rest stays as it ended."""
    events = [start(), *([step("triage", before)] if before else []), end("failed")]
    assert seen(*events).step("triage").status is StepStatus(after)


def test_the_route_and_the_worker_are_seen() -> None:
    """router.route and python.execute tell where a step ran and why."""
    told = {"run_id": "r", "step": "triage"}
    view = seen(
        start(),
        Event("router.route", 101.0, {**told, "route": "hybrid", "reason": "cheaper", "target": "neural"}),
        Event("python.execute", 102.0, {**told, "worker": "w-1", "queue_s": 0.1, "run_s": 0.5, "usage": None}),
    )
    one = view.step("triage")
    assert (one.route, one.reason, one.target, one.worker, one.queue_s) == ("hybrid", "cheaper", "neural", "w-1", 0.1)


@pytest.mark.parametrize(
    "used", [Usage(10, 5, 0.5, 1), {"input_tokens": 10, "output_tokens": 5, "cost": 0.5, "lm_calls": 1}]
)
def test_usage_comes_as_a_value_or_as_a_dict(used: Any) -> None:
    """Both forms of usage are read alike, and the run's is the sum over its innermost steps."""
    view = seen(start(), step("summary", "succeeded", usage=used), step("both", "succeeded", usage=used))
    assert view.usage == Usage(10, 5, 0.5, 1)


def test_usage_of_calls_is_not_counted_twice() -> None:
    """A step's own figures at its end replace the sum over its calls."""
    told = {"run_id": "r", "step": "triage", "usage": Usage(10, 5, None, 1)}
    call = Event("python.execute", 102.0, told)
    view = seen(
        start(), step("triage", "running"), call, call, step("triage", "succeeded", usage=Usage(20, 10, None, 2))
    )
    assert view.step("triage").usage == Usage(20, 10, None, 2)


def test_a_step_that_runs_again_keeps_what_it_used() -> None:
    """Inside ``each`` a step has many turns: its text goes on in a new line, its usage adds up."""
    turn = [step("triage", "running"), token("triage", "a"), step("triage", "succeeded", usage=Usage(1, 2, None, 1))]
    one = seen(start(), *turn, *turn).step("triage")
    assert (one.usage, one.text) == (Usage(2, 4, None, 2), {"reply": "a\na"})


def test_errors_come_in_any_form() -> None:
    """An error object and its dict are seen alike."""
    error = ValidationError("urgency is over 5", hint="Ask again.")
    views = [seen(start(), step("triage", "failed", error=form)) for form in (error, error.to_dict())]
    assert views[0].step("triage").error == views[1].step("triage").error == error.to_dict()


def test_rates_come_from_the_tokens_themselves() -> None:
    """Tokens per second count from the first token to the last, the time to the first from the step's start."""
    tokens = [token("triage", "x", at=102.0 + index / 10) for index in range(11)]
    view = seen(start(), step("triage", "running", at=101.0), *tokens)
    one = view.step("triage")
    assert one.first_token_s == pytest.approx(1.0)
    assert one.tokens_per_s == view.tokens_per_s == pytest.approx(10.0)


def test_two_steps_at_once_write_faster_together() -> None:
    """The run's rate counts each second once, however many steps write in it."""
    tokens = [token(name, "x", at=102.0 + index / 10) for index in range(11) for name in ("summary", "mood")]
    assert seen(start(), *tokens).tokens_per_s == pytest.approx(20.0)


def test_rows_put_steps_below_the_one_around_them() -> None:
    """Rows come depth first, each with its depth."""
    assert [(depth, one.name) for depth, one in seen(start()).rows()] == [
        (0, "triage"),
        (0, "both"),
        (1, "summary"),
        (1, "mood"),
    ]


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcdex")), max_size=8, unique_by=lambda one: one[0])
)
def test_rows_hold_every_step_once(pairs: list[tuple[str, str]]) -> None:
    """Whatever parents are named, circles and strangers included, each step has exactly one row."""
    view = seen(start(steps=[{"name": name, "parent": parent} for name, parent in pairs]))
    assert sorted(one.name for _, one in view.rows()) == sorted(name for name, _ in pairs)


@given(st.lists(st.text(max_size=3000), max_size=60))
def test_streamed_text_is_what_came(pieces: list[str]) -> None:
    """Appending in pieces keeps the text's end, counts all of it, and says when its beginning was let go."""
    stream, whole = StreamedText("f"), "".join(pieces)
    for piece in pieces:
        stream = stream.append(piece)
    assert stream.length == len(whole)
    assert whole.endswith(stream.text)
    assert stream.is_shortened == (len(stream.text) < len(whole))
    assert len(stream.text) >= min(len(whole), 60 * 1024)


def test_streamed_text_is_bounded() -> None:
    """However much comes, what is kept stays small: no block list grows without end."""
    stream = StreamedText("f")
    for _ in range(30_000):
        stream = stream.append("token ")
    assert len(stream.text) < 80_000
    assert len(stream.blocks) <= 64


def test_a_step_around_others_leaves_the_values_to_them() -> None:
    """What a parallel step gives is what its steps give: it is shown once."""
    inside = step("summary", "succeeded", outputs={"summary": "short"})
    view = seen(start(), inside, step("both", "succeeded", outputs={"summary": "short"}))
    assert render_text(view).count("summary: short") == render_html(view).count("short") == 1


@pytest.mark.parametrize(
    ("dollars", "words"), [(None, ""), (0.0, ""), (0.00001, "<$0.0001"), (0.00042, "$0.0004"), (1234.5, "$1,234.50")]
)
def test_prices_show_the_digits_that_matter(dollars: float | None, words: str) -> None:
    """A price that is nothing, or not known, takes no room."""
    assert cost(dollars) == words


@pytest.mark.parametrize(
    ("duration_s", "words"),
    [(None, ""), (0.0004, "0.4 ms"), (0.42, "420 ms"), (0.9999, "1.00 s"), (3.421, "3.42 s"), (125.0, "2 min 05 s")],
)
def test_times_read_well_at_every_size(duration_s: float | None, words: str) -> None:
    """A time has three digits and the unit that fits."""
    assert seconds(duration_s) == words


# --- the forms ----------------------------------------------------------------------------------------------------


class Outline(HTMLParser):
    """The tags that are open at the end, and the text."""

    VOID = frozenset({"br", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def outline(html: str) -> Outline:
    parser = Outline()
    parser.feed(html)
    parser.close()
    return parser


FAILED = seen(
    start(),
    step(
        "triage", "succeeded", outputs={"category": "billing", "urgency": 4}, duration_s=1.5, usage=Usage(9, 30, 0.0042)
    ),
    step("mood", "running"),
    step(
        "mood",
        "failed",
        error={"type": "PythonError", "error_type": "ValueError", "message": "no <mood>", "traceback": "Trace\n  line"},
    ),
    end("failed", duration_s=10.0, error={"type": "PipelineError", "message": "The step mood failed."}),
)


def test_the_text_form_is_aligned() -> None:
    """In a terminal the columns stand below one another, values and errors below their step."""
    lines = render_text(FAILED).splitlines()
    assert lines[0] == "✗ support · failed in 10.00 s · 9 in · 30 out tokens · 20.0 tok/s · $0.0042"
    assert lines[1].startswith("  ✓ triage     predict")
    assert lines[1].index("predict") == next(line for line in lines if "mood" in line).index("predict")
    assert "      category: billing" in lines
    assert "        ValueError: no <mood>" in lines


@given(st.text(), st.text())
def test_no_line_of_the_text_form_is_too_wide(name: str, value: str) -> None:
    """Every line fits the width that was asked for, whatever a step wrote."""
    view = seen(start(), step("triage", "succeeded", outputs={name: value}))
    assert max(map(len, render_text(view, width=72).split("\n"))) <= 72


@given(st.text(), st.text(), st.text())
def test_html_shows_text_and_runs_nothing(name: str, value: str, message: str) -> None:
    """Names, values and errors are text in the page: well-formed, with no tag but those of the form itself."""
    error = {"type": "E", "message": message, "hint": value, "traceback": name}
    view = seen(start(pipeline=name), step("triage", "failed", outputs={name: value}, error=error, kind=value))
    parser = outline(render_html(view))
    assert parser.open == []
    assert parser.tags <= {
        "div",
        "span",
        "strong",
        "table",
        "tbody",
        "tr",
        "td",
        "th",
        "details",
        "summary",
        "pre",
        "code",
    }


def test_html_folds_the_worker_s_traceback() -> None:
    """The error is one line; the worker's traceback is there, folded."""
    html = render_html(FAILED)
    assert "ValueError: no &lt;mood&gt;" in html
    assert re.search(r"<details><summary[^>]*>Traceback</summary><pre[^>]*>Trace\n  line</pre>", html)


def test_html_fixes_no_background_and_needs_nothing() -> None:
    """No script, no style sheet, no link, and every background is transparent or mixed from the text's own colour."""
    html = render_html(FAILED)
    assert not re.search(r"<(script|style|link|img)|https?:", html)
    for background in re.findall(r"background: ([^;\"]+)", html):
        assert background == "none" or background.startswith(("color-mix(in srgb, currentColor", "var(--jp-"))


def test_dollars_make_no_formula() -> None:
    """Two dollars in a text stay two dollars: each stands apart, and MathJax is told to pass over."""
    html = render_html(seen(start(), step("triage", "succeeded", outputs={"reply": "below $500, and $49"})))
    assert "below <span>$</span>500, and <span>$</span>49" in html
    assert 'class="tex2jax_ignore mathjax_ignore"' in html


def test_a_view_of_nothing_can_be_shown() -> None:
    """Before the first event both forms are there."""
    assert render_text(RunView(pipeline="support")) == "○ support · pending"
    assert "pending" in outline(render_html(RunView())).text
