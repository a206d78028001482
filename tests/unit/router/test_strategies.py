"""Strategies are pure: tables of operation and options to decisions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dspex_lab.calls import LmSpec
from dspex_lab.errors import ConfigurationError
from dspex_lab.router import Decision, Operation, Options, Route, RouterStatistics
from dspex_lab.router.questions import why_not_hybrid
from dspex_lab.router.strategies import Strategy, auto, hybrid, native, python
from dspex_lab.signatures import compile_signature

STATISTICS = RouterStatistics()
LOCAL = LmSpec("local/tiny")


def asking(kind: str = "predict", signature: str = "question -> answer", **settings: Any) -> Operation:
    """A step that asks a model."""
    compiled = compile_signature(signature)
    return Operation(kind, kind, ("answer",), signature=compiled, checked=compiled, settings=settings)


@pytest.mark.parametrize(
    ("strategy", "kind", "options", "route", "target"),
    [
        (auto, "native", Options(), Route.NATIVE, "notebook"),
        (auto, "template", Options(), Route.NATIVE, "notebook"),
        (auto, "native", Options(pool="optimizer"), Route.PYTHON, "optimizer"),
        (auto, "predict", Options(), Route.PYTHON, "general"),
        (auto, "chain_of_thought", Options(pool="neural"), Route.PYTHON, "neural"),
        (native, "native", Options(), Route.NATIVE, "notebook"),
        (python, "native", Options(), Route.PYTHON, "general"),
        (python, "predict", Options(pool="sandbox"), Route.PYTHON, "sandbox"),
    ],
)
def test_each_strategy_decides_by_its_table(
    strategy: Strategy, kind: str, options: Options, route: Route, target: str
) -> None:
    """Route and target follow from kind and options, and every decision says why."""
    decision = strategy(Operation(kind, kind, ()), options, STATISTICS)
    assert (decision.route, decision.target) == (route, target)
    assert decision.reason


@pytest.mark.parametrize(
    ("options", "target"),
    [
        (Options(), "general"),
        (Options(lm="openai/gpt-4o-mini"), "general"),
        (Options(lm="openai/gpt-4o-mini", pool="mine"), "mine"),
        (Options(lm=LOCAL), "neural"),
        (Options(lm="local/tiny", pool="mine"), "neural"),
    ],
)
@pytest.mark.parametrize("strategy", [auto, hybrid])
@pytest.mark.parametrize("kind", ["predict", "chain_of_thought"])
def test_a_question_goes_where_its_model_is(kind: str, strategy: Strategy, options: Options, target: str) -> None:
    """What needs no DSPy takes the hybrid route, to the pool of the model."""
    decision = strategy(asking(kind), options, STATISTICS)
    assert (decision.route, decision.target) == (Route.HYBRID, target)


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (asking(signature="photo: dspy.Image -> answer"), "`photo` has a type of DSPy's"),
        (asking(signature="question -> answer: dspy.Code"), "`answer` has the DSPy type Code"),
        (asking(adapter="xml"), "adapter xml"),
        (asking(temperature=1.0), "setting temperature"),
        (replace(asking(), tools=(print,)), "tools"),
        (replace(asking(), signature=None, checked=None), "no signature"),
    ],
)
def test_what_needs_dspy_is_left_to_it(operation: Operation, reason: str) -> None:
    """The decision says what cannot be done here; asking for the hybrid route is then an error that says it too."""
    decision = auto(operation, Options(lm=LOCAL), STATISTICS)
    assert (decision.route, decision.target) == (Route.PYTHON, "general")
    assert reason in decision.reason
    with pytest.raises(ConfigurationError, match=reason):
        hybrid(operation, Options(), STATISTICS)


@pytest.mark.parametrize("settings", [{}, {"adapter": "chat"}, {"adapter": "json", "demos": [{"question": "?"}]}])
def test_known_settings_stay_here(settings: dict[str, Any]) -> None:
    """Adapters, demos and instructions are honoured by the hybrid route."""
    assert why_not_hybrid(asking(**settings)) == ""


def test_the_native_strategy_refuses_what_needs_a_worker() -> None:
    """What cannot run in the notebook is a configuration error with a hint."""
    with pytest.raises(ConfigurationError) as caught:
        native(Operation("predict", "predict(Q)", ()), Options(), STATISTICS)
    assert caught.value.hint


def test_decisions_are_values() -> None:
    """The same question has the same answer."""
    operation = Operation("predict", "predict(Q)", ())
    assert auto(operation, Options(), STATISTICS) == auto(operation, Options(), STATISTICS)
    assert isinstance(auto(operation, Options(), STATISTICS), Decision)
