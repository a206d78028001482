"""What a run asks people, and what it warns of, as its view shows it."""

from __future__ import annotations

from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.run_view import RunView, StepStatus, render_html, render_text


def seen(*events: Event) -> RunView:
    """A view of a run with the one step ``mood``, after ``events``."""
    begin = Event(
        "run.start",
        100.0,
        {"run_id": "r", "pipeline": "support", "steps": [{"name": "mood", "kind": "predict"}], "inputs": {}},
    )
    view = RunView().apply(begin)
    for event in events:
        view = view.apply(event)
    return view


def running() -> Event:
    return Event("pipeline.step", 101.0, {"run_id": "r", "step": "mood", "status": "running"})


def end(status: str) -> Event:
    return Event("run.end", 110.0, {"run_id": "r", "status": status})


def question(name: str, *, of: str = "mood", text: str = "Well?") -> Event:
    field = {"name": "approved", "type_text": "bool", "is_required": True, "default": None}
    other = {"name": "comment", "type_text": "str", "is_required": False, "default": "<b>"}
    told = {"id": name, "step": of, "text": text, "shows": {"reply": "Dear $5 <i>"}, "fields": [field, other]}
    return Event("run.question", 103.0, {"run_id": "r", **told})


def answer(name: str, *, of: str = "mood") -> Event:
    return Event("run.answer", 104.0, {"run_id": "r", "question": name, "step": of, "by": "answer"})


def test_a_run_waits_while_a_question_is_open() -> None:
    """The run and the step wait until the last question has its answer; the end takes what is left."""
    asked = seen(running(), question("q1"), question("q2"))
    assert (asked.status, asked.step("mood").status) == (StepStatus.WAITING, StepStatus.WAITING)
    assert not asked.is_over
    half = asked.apply(answer("q1"))
    assert (half.status, half.step("mood").status, len(half.questions)) == (StepStatus.WAITING, StepStatus.WAITING, 1)
    none = half.apply(answer("q2"))
    assert (none.status, none.step("mood").status, none.questions) == (StepStatus.RUNNING, StepStatus.RUNNING, ())
    over = asked.apply(end("cancelled"))
    assert (over.questions, over.step("mood").status) == ((), StepStatus.CANCELLED)


def test_a_question_reads_in_every_form() -> None:
    """Text, values, fields and the line that answers it; in HTML nothing of it runs."""
    view = seen(running(), question("q", text="All <right>?"))
    text, html = render_text(view), render_html(view)
    line = 'lab.run("r").answer(approved=..., comment=...)'
    assert all(part in text for part in ("? All <right>?", "→ approved: bool", "→ comment: str = '<b>'", line))
    assert "All &lt;right&gt;?" in html
    assert "<b>" not in html


def test_warnings_are_shown() -> None:
    """What stops no run is told all the same."""
    view = seen(Event("pipeline.warning", 103.0, {"run_id": "r", "step": None, "message": "Not <kept>."}))
    assert "! Not <kept>." in render_text(view)
    assert "! Not &lt;kept&gt;." in render_html(view)
