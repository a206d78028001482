"""What a form and a run panel show, made up: one state for each way that they can look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dspex_lab.pipelines import compile_plan, native, predict
from dspex_lab.pipelines.plan.plan import Plan
from dspex_lab.pipelines.steps.constructors import each, parallel
from dspex_lab.signatures import compile_signature
from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.run_view import RunView
from dspex_lab.widgets.form_state import fields_of_plan, form_message
from dspex_lab.widgets.graph_state import graph_message
from dspex_lab.widgets.panel_state import state_message
from tests.browser.panel_harness.forms import EVERYTHING, TRIAGE, Item, Mood

__all__ = ["RUNS", "form_of", "support_graph", "support_plan", "support_run", "triage_run"]

_TRACE = 'Traceback (most recent call last):\n  File "ops/dspy.py", line 88, in predict\n' + "    ...\n" * 12
_ERROR = {
    "type": "PythonError",
    "error_type": "ValueError",
    "message": "'ca' is not one of 'calm', 'angry'",
    "hint": "Ask again with retry=2, or widen the field's type.",
    "traceback": f"{_TRACE}ValueError: 'ca' is not one of 'calm', 'angry'",
}
_TEXT = "Dear customer, thank you for writing. We have refunded the second charge; it shows within three days. "
RUNS = ("running", "succeeded", "failed", "cancelled", "waiting")


def support_plan() -> Plan:
    """A pipeline with a step of nearly every kind."""
    return compile_plan(
        "support",
        {
            "clean": native(lambda ticket: ticket),
            "both": parallel(summary=predict("clean -> summary"), mood=predict("clean -> mood: Literal['calm']")),
            "parts": each(predict("part -> found"), over="orders", item="part"),
            "reply": predict("summary, mood, found -> reply"),
        },
    )


def support_graph() -> dict[str, Any]:
    return graph_message(support_plan())


def support_run(status: str) -> dict[str, Any]:
    """The state of a run that came as far as ``status`` says."""
    plan = support_plan()
    names = [step.name for step in plan.steps]
    events = [_event("run.start", 0.0, pipeline=plan.name, steps=plan.description, inputs={})]
    for index, name in enumerate(names[:-1]):
        events += _step(name, 0.1 + 0.2 * index, "hybrid" if "mood" in name else "python")
    reply = names[-1]
    events += [_event("pipeline.step", 1.5, step=reply, status="running"), _route(reply, 1.5, "hybrid")]
    events += [_event("token", 1.6 + n / 50, step=reply, field="reply", text=_TEXT[n : n + 4]) for n in range(0, 80, 4)]
    if status == "waiting":
        field = {"name": "approved", "kind": "checkbox", "type_text": "bool", "is_required": True, "choices": []}
        blank = dict.fromkeys(("description", "constraints", "example", "accept", "file_form", "held"), "")
        field |= {**blank, "default": None, "allows_none": False, "minimum": None, "maximum": None, "is_whole": False}
        asked = {"id": "q", "step": reply, "text": "Is this reply all right?", "shows": {"reply": _TEXT}}
        events.append(_event("run.question", 2.0, **asked, fields=[field], default=None, answer_by=600.0))
    if status == "failed":
        events.append(_event("pipeline.step", 2.4, step=reply, status="failed", error=_ERROR, duration_s=0.9))
    if status == "succeeded":
        events.append(_end_of(reply, 2.4, {"reply": _TEXT * 4}))
    if status in ("failed", "succeeded", "cancelled"):
        events.append(
            _event("run.end", 2.5, status=status, duration_s=2.5, error=_ERROR if status == "failed" else None)
        )
    events.append(_event("pipeline.warning", 2.4, message="The step mood reads summary, which nobody writes."))
    return state_message(_viewed(events), now=2.6, repeatable=names if status != "running" else ())


def triage_run(status: str) -> dict[str, Any]:
    """The state of a run of one step."""
    events = [_event("run.start", 0.0, pipeline="Triage", steps=[{"name": "Triage", "kind": "predict"}], inputs={})]
    events += [_event("pipeline.step", 0.1, step="Triage", status="running"), _route("Triage", 0.1, "hybrid")]
    events += [
        _event("token", 0.2 + n / 50, step="Triage", field="reply", text=_TEXT[n : n + 4]) for n in range(0, 60, 4)
    ]
    if status == "failed":
        events.append(_event("pipeline.step", 2.4, step="Triage", status="failed", error=_ERROR, duration_s=0.9))
    if status == "succeeded":
        events.append(_end_of("Triage", 2.4, {"category": "billing", "urgency": 4, "reply": _TEXT}))
    if status != "running":
        events.append(_event("run.end", 2.5, status=status, duration_s=2.5))
    return state_message(_viewed(events), now=2.6)


def form_of(name: str, **defaults: Any) -> dict[str, Any]:
    """A form: "Triage" or "Everything"."""
    text = TRIAGE if name == "Triage" else EVERYTHING
    compiled = compile_signature(text, name=name, namespace={"Mood": Mood, "Item": Item})
    plan = compile_plan(name, {name: predict(compiled)})
    return form_message(plan, fields_of_plan(plan, defaults))


def _step(name: str, at: float, route: str) -> list[Event]:
    begun = _event("pipeline.step", at, step=name, status="running")
    if name in ("both", "parts"):
        return [begun, _event("pipeline.step", at + 0.5, step=name, status="succeeded", duration_s=0.5)]
    return [begun, _route(name, at, route), _end_of(name, at + 0.15, {name.rpartition(".")[2]: _TEXT})]


def _end_of(name: str, at: float, outputs: Mapping[str, Any]) -> Event:
    usage = {"input_tokens": 180, "output_tokens": 48, "cost": 0.00021, "lm_calls": 1}
    told = {"step": name, "status": "succeeded", "outputs": outputs, "usage": usage, "duration_s": 0.15}
    return _event("pipeline.step", at, **told, cached="mood" in name, retries=1 if "summary" in name else 0)


def _route(name: str, at: float, route: str) -> Event:
    return _event("router.route", at, step=name, route=route, reason="The prompt can be rendered here.", target="pool")


def _event(name: str, at: float, **attributes: Any) -> Event:
    return Event(name, at, {"run_id": "r1", **attributes})


def _viewed(events: list[Event]) -> RunView:
    view = RunView()
    # A run that is over takes no more events: what is told late is told before its end.
    for event in sorted(events, key=lambda one: one.time):
        view = view.apply(event)
    return view
