"""Forms with no host and no model: programs whose answers are made up here, word by word."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from dspex_lab import programs
from dspex_lab.calls import LmSpec, Usage
from dspex_lab.lab import Lab, use_lab
from dspex_lab.magics.pipeline_magic import show_run
from dspex_lab.pipelines import Pipeline, Run, native, pipeline, predict
from dspex_lab.router import Decision, Operation, Options, RouterStatistics
from dspex_lab.router.strategies import auto, python
from dspex_lab.settings import Settings
from dspex_lab.testing import FakeBackend
from dspex_lab.testing.backend import FakeCall
from dspex_lab.widgets import Form, form

__all__ = ["TRIAGE", "Item", "Mood", "everything", "open_lab", "show_support", "support", "triage"]


class Mood(enum.Enum):
    CALM = "calm"
    ANGRY = "angry"


class Item(BaseModel):
    """One line of an order."""

    name: str
    count: int = 1


TRIAGE = '''"""Route a support ticket to the right team."""
ticket: str                                    # the customer's words
language: str = "en"
->
category: Literal["billing", "bug", "feature"]
urgency: Annotated[int, Field(ge=1, le=5)]     # 5 is drop everything
reply: str | None
'''
EVERYTHING = '''"""Every kind of field that a form knows."""
ticket: str                                    # the customer's words
stars: Annotated[int, Field(ge=1, le=5)]       # how they like it
weight: float | None
mood: Mood
tags: list[str] = []
teams: list[Literal["billing", "bugs", "sales"]]
urgent: bool = False
since: datetime.date | None
extras: dict[str, int]                         # whatever else there is
order: list[Item]                              # what they bought
photo: dspy.Image | None
->
answer: str
'''
_REPLY = (
    "Dear customer, thank you for writing. We have refunded the second charge of $49; it shows within three days. "
    "Two formulas that are none: $x$ and $$y$$. <b>Not bold.</b>"
)


def open_lab(*, pause_s: float = 0.02, fails: bool = False) -> Lab:
    """A lab whose model is scripted, made the current one."""

    async def answer(call: FakeCall) -> dict[str, Any]:
        call.add_usage(Usage(212, 48, 0.00042, 1))
        outputs = _outputs(call.call.args["signature"]["text"], call.call.args["inputs"])
        for name, value in outputs.items():
            for word in str(value).split(" "):
                await call.emit(f"{word} ", name)
                await asyncio.sleep(pause_s)
        if fails:
            raise ValueError("The model wrote <script>alert(1)</script> where a number stands.")
        return outputs

    lab = Lab(Settings.create(), backend=FakeBackend({"dspy.run": answer}))
    lab.router.lm = LmSpec("local/tiny")
    lab.router.strategies.register("scripted", _scripted)
    lab.router.strategy = "scripted"
    use_lab(lab)
    return lab


def _scripted(operation: Operation, options: Options, statistics: RouterStatistics) -> Decision:
    """Models are asked in a worker, where the script is; plain functions run here."""
    return python(operation, options, statistics) if operation.signature else auto(operation, options, statistics)


def triage(**defaults: Any) -> Form:
    """The form of a signature."""
    return form(predict_program(TRIAGE, name="Triage"), **defaults)


def everything(**defaults: Any) -> Form:
    """A form with a field of every kind."""
    return form(predict_program(EVERYTHING, name="Everything"), **defaults)


def predict_program(text: str, *, name: str) -> Any:
    compiled = programs.signature(text, name=name, namespace={"Mood": Mood, "Item": Item})
    return programs.predict(compiled)


def support(lab: Lab) -> Pipeline:
    """A pipeline with plain steps around a model's."""
    return pipeline(
        "support",
        start=lab.launcher.start,
        clean=native(lambda ticket: " ".join(ticket.split())),
        summary=predict("clean -> summary"),
        mood=predict("clean -> mood"),
        reply=predict("summary, mood -> reply"),
    )


def show_support(*, pause_s: float = 0.02, fails: bool = False) -> Run:
    """Run the pipeline in a panel in this cell."""
    lab = open_lab(pause_s=pause_s, fails=fails)
    run = support(lab).submit(ticket="I was charged   twice.")
    show_run(lab, run)
    return run


def _outputs(text: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    right = text.split("->")[1]
    known = {
        "category": "billing",
        "urgency": 4,
        "reply": _REPLY,
        "summary": "Charged twice for the May invoice; wants one refunded.",
        "mood": "calm",
        "answer": f"{len(inputs)} inputs: " + "; ".join(f"{name}={value!r}" for name, value in inputs.items()),
    }
    return {name: value for name, value in known.items() if name in right}
