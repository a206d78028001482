"""The python and the hybrid route ask the same: requests as the engine sees them, through the real operations."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pydantic
import pytest

from dspex_lab.backends.inline import InlineBackend
from dspex_lab.calls import LmRequest, LmSpec
from dspex_lab.pipelines import chain_of_thought, predict
from dspex_lab.router import Outcome, Router
from dspex_lab.testing.language_model import FakeLanguageModel, default_answer
from dspex_lab.worker.engines import EngineSet, close_engines, install_engines

LOCAL = LmSpec("local/model", max_tokens=64)
REMOTE = LmSpec("openai/model", api_base="http://nowhere", api_key="sk-secret", temperature=0.3)
PLAIN = LmSpec("anthropic/model")


class Mood(enum.Enum):
    """How it feels."""

    CALM = "calm"
    WILD = "wild"


class Answer(pydantic.BaseModel):
    """What is said, and how sure one is."""

    text: str
    confidence: float = pydantic.Field(ge=0, le=1)


@dataclass
class Point:
    """A place."""

    x: int
    y: int


NAMESPACE = {"Mood": Mood, "Answer": Answer, "Point": Point}
TRIAGE = '''"""Route a ticket.

    Be quick."""
ticket: str                                 # the customer's words
language: str = "en"
limit: int | None
->
category: Literal["billing", "bug"]         # one of two
urgency: Annotated[int, Field(ge=2, le=5)]  # 5 is drop everything
reply: str | None
'''
TYPED = (
    "where: Point, mood: Mood, known: list[Answer] -> answer: Answer, moods: list[Mood], spot: Point, n: dict[str, int]"
)
CASES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "plain": ("question -> answer", {"question": "Why?\n\n  Because. "}),
    "untyped": ("question, context -> answer", {"question": "Why?", "context": ["a", "b «c»", "d\ne"]}),
    "numbers": ("n: int, x: float, ok: bool -> m: int, y: float, no: bool", {"n": "3", "x": 0.5, "ok": True}),
    "nested": ("rows: list[dict[str, Any]] -> best: tuple[int, str]", {"rows": [{"a": 1, "b": [None, "é"]}]}),
    "cell": (TRIAGE, {"ticket": "I was charged twice"}),
    "classes": (TYPED, {"where": Point(1, 2), "mood": Mood.WILD, "known": [Answer(text="x", confidence=0.5)]}),
}
DEMOS: list[dict[str, Any]] = [
    {"question": "One?", "answer": "1", "reasoning": "since", "context": ["x"], "ticket": "Help", "category": "bug"},
    {
        "question": "Two?",
        "language": "de",
        "ticket": "Hilfe",
        "limit": None,
        "urgency": 3,
        "rows": [],
        "best": [1, "a"],
    },
    {"ticket": "T", "language": "fr", "limit": 3, "category": "bug", "urgency": 4, "reply": "Bien."},
]


class Place:
    """A router over this process, and what its language model was asked."""

    def __init__(self, backend: InlineBackend, fake: FakeLanguageModel) -> None:
        self.backend = backend
        self.fake = fake

    async def ask(self, make: Callable[..., Any], lm: LmSpec, case: str, **options: Any) -> tuple[Any, list[LmRequest]]:
        """The outputs, and the requests that they took; what a model cannot be held to is no matter here."""
        text, inputs = CASES[case]
        leaf = make(text, namespace=NAMESPACE, retry=0, timeout_s=60.0, **options)
        del self.fake.requests[:]
        outcome: Outcome = await Router(self.backend, lm).execute(leaf.operation, inputs, options=leaf.options)
        return dict(outcome.outputs), list(self.fake.requests)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    fake = FakeLanguageModel()
    engines = EngineSet()
    for kind in ("llamacpp", "openai", "litellm"):
        engines.put(kind, fake)
    install_engines(asyncio.get_running_loop(), engines)
    backend = InlineBackend()
    await backend.open()
    yield Place(backend, fake)
    await backend.aclose()
    await close_engines()


def timeless(requests: list[LmRequest]) -> list[LmRequest]:
    """The requests without what is left of the step's time."""
    return [replace(one, lm=replace(one.lm, timeout_s=1.0)) for one in requests]


@pytest.mark.parametrize("lm", [LOCAL, REMOTE, PLAIN], ids=lambda lm: lm.model)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("make", [predict, chain_of_thought])
@pytest.mark.parametrize("options", [{}, {"demos": DEMOS, "instructions": "Be brief.\n  And good."}], ids=["", "told"])
async def test_both_routes_ask_the_same_and_read_the_same(
    place: Place, make: Callable[..., Any], case: str, lm: LmSpec, options: Mapping[str, Any]
) -> None:
    """Messages, schema, model and options are equal, call by call, also where the first reply cannot be read."""
    by_dspy, asked_by_dspy = await place.ask(make, lm, case, route="python", **options)
    here, asked_here = await place.ask(make, lm, case, route="hybrid", **options)
    assert timeless(asked_here) == timeless(asked_by_dspy)
    assert here == by_dspy
    assert len(asked_here) == (1 if lm.is_local else 2)


@pytest.mark.parametrize("lm", [LOCAL, REMOTE], ids=lambda lm: lm.model)
@pytest.mark.parametrize("adapter", ["chat", "json"])
async def test_an_adapter_is_the_same_on_both(place: Place, adapter: str, lm: LmSpec) -> None:
    """The adapters that can be asked for send the same on both routes."""
    _, asked_by_dspy = await place.ask(predict, lm, "cell", route="python", adapter=adapter)
    _, asked_here = await place.ask(predict, lm, "cell", route="hybrid", adapter=adapter)
    assert timeless(asked_here) == timeless(asked_by_dspy)


async def test_a_refused_answer_is_asked_again_in_the_same_words(place: Place) -> None:
    """What the validator says reaches the model in the same place."""
    replies: list[str] = []

    def answer(request: LmRequest) -> str:
        replies.append(default_answer(request))
        return '{"category": "bug", "urgency": 9, "reply": null}' if len(replies) % 2 else replies[-1]

    place.fake._answer = answer
    _, asked_by_dspy = await place.ask(predict, LOCAL, "cell", route="python")
    _, asked_here = await place.ask(predict, LOCAL, "cell", route="hybrid")
    assert len(asked_here) == 2
    assert timeless(asked_here) == timeless(asked_by_dspy)
