"""Strategies are pure: tables of operation and options to decisions."""

from __future__ import annotations

import pytest

from dspex_lab.errors import ConfigurationError
from dspex_lab.router import Decision, Operation, Options, Route, RouterStatistics
from dspex_lab.router.strategies import Strategy, auto, native, python

STATISTICS = RouterStatistics()


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
