"""A ``dspy.Module`` of the notebook's own as a step: sent by value to a real worker, with its demos and its model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dspex_lab.calls import LmSpec
from dspex_lab.lab import Lab
from dspex_lab.pipelines import Pipeline, each, module, native, when
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.openai_server import OpenAiServer
from dspex_lab.testing.scripted_answers import Behaviour
from dspex_lab.testing.site import Site

LIMIT_S = 60.0
#: What a user writes in a cell.
CELL = '''
import dspy

class Careful(dspy.Module):
    """Asks twice."""

    def __init__(self):
        super().__init__()
        self.draft = dspy.Predict("question -> answer")

    def forward(self, question):
        found = self.draft(question=question)
        seen = f"{len(self.draft.demos)} demos, {self.draft.lm.model}"
        return dspy.Prediction(answer=found.answer.upper(), seen=seen)
'''


@pytest.fixture
def lab(shared_site: Site) -> Iterator[Lab]:
    settings = shared_site.settings(PoolSpec(name="general", size=2), preload=("dspy",))
    with Lab(settings) as made:
        yield made


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    with OpenAiServer(Behaviour(text='{"answer": "blue"}')) as made:
        yield made


def careful(server: OpenAiServer) -> Any:
    """The user's module, as a notebook's ``__main__`` would have it, with a demo and a model of its own."""
    import dspy

    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(CELL, scope)
    program = scope["Careful"]()
    program.draft.demos = [dspy.Example(question="the grass?", answer="green")]
    program.draft.lm = dspy.LM("openai/of-the-module", api_base=server.api_base, api_key="k", cache=False)
    return program


def test_a_users_module_keeps_its_demos_and_its_model(lab: Lab, server: OpenAiServer) -> None:
    """Its forward runs in the worker, its demos are in the prompt, and its own model is asked."""
    step = module(careful(server), signature="question -> answer, seen")
    made = Pipeline("ask", {"asked": step, "end": native(lambda answer: f"{answer}!")}, start=lab.launcher.start)
    result = made.submit(question="the sky?").result(LIMIT_S)
    assert (result.end, result.seen) == ("BLUE!", "1 demos, openai/of-the-module")
    assert "the grass?" in str(server.requests[-1])


def test_a_users_module_stands_anywhere(lab: Lab, server: OpenAiServer) -> None:
    """In a branch of a list's step of a pipeline within a pipeline."""
    step = module(careful(server), signature="question -> answer, seen")
    inner = Pipeline(
        "inner",
        {"asked": each(when(lambda s: s.question, then=step), over="questions", item="question")},
        start=lab.launcher.start,
    )
    outer = Pipeline("outer", {"inner": inner, "end": native(len, reads=["answer"])}, start=lab.launcher.start)
    result = outer.submit(questions=["a?", "", "b?"]).result(LIMIT_S)
    assert (result.answer, result.end) == (["BLUE", None, "BLUE"], 3)


def test_a_dotted_name_is_found_in_the_worker(lab: Lab, server: OpenAiServer) -> None:
    """A class that is installed there needs no sending."""
    lm = LmSpec("openai/scripted", api_base=server.api_base, api_key="k")
    made = Pipeline(
        "ask", {"asked": module("dspy.Predict", signature="question -> answer", lm=lm)}, start=lab.launcher.start
    )
    assert made.submit(question="?").result(LIMIT_S).answer == "blue"
