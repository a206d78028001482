"""What a step keeps of a DSPy program."""

from __future__ import annotations

from typing import Any

import dspy
import pytest

from dspex_lab.pipelines import chain_of_thought, predict
from dspex_lab.pipelines.steps.step import Leaf
from dspex_lab.router.questions import why_not_hybrid


def optimized(kind: Any) -> Any:
    """A program as an optimizer leaves it: other instructions, and a demo."""
    program = kind("question -> answer: int")
    predictor = program.predictors()[0]
    predictor.signature = predictor.signature.with_instructions("Count with care.")
    predictor.demos = [dspy.Example(question="1 + 1", answer=2)]
    return program


@pytest.mark.parametrize(("make", "kind"), [(predict, dspy.Predict), (chain_of_thought, dspy.ChainOfThought)])
def test_an_optimized_program_keeps_what_was_found(make: Any, kind: Any) -> None:
    """Instructions and demos are the program's; the step needs no DSPy for them."""
    leaf: Leaf = make(optimized(kind))
    signature = leaf.operation.signature
    assert signature is not None
    assert signature.instructions == "Count with care."
    assert leaf.operation.settings["demos"] == [{"question": "1 + 1", "answer": 2}]
    assert why_not_hybrid(leaf.operation) == ""


def test_demos_that_are_given_come_first() -> None:
    """Who names demos means those."""
    leaf = predict(optimized(dspy.Predict), demos=[{"question": "?", "answer": 1}])
    assert leaf.operation.settings["demos"] == [{"question": "?", "answer": 1}]


def test_any_other_signature_is_itself() -> None:
    """A text and a DSPy class have no demos."""
    assert predict("question -> answer").operation.settings == {}
    assert predict(dspy.Signature("question -> answer")).operation.settings == {}
