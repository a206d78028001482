"""Inputs are checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from dspex_lab.errors import PipelineError
from dspex_lab.pipelines import compile_plan, native, predict
from dspex_lab.pipelines.plan.inputs import check_inputs


def shout(text: str, times: int = 1) -> str:
    return text.upper() * times


PLAN = compile_plan(
    "support",
    {
        "triage": predict('"""Do."""\nticket: str\nlanguage: str = "en"\n->\nurgency: int'),
        "loud": native(shout),
        "summary": predict("ticket, urgancy: int -> summary"),
    },
)
GOOD: Mapping[str, Any] = {"ticket": "x", "text": "y", "urgancy": 3}


def test_good_inputs_pass() -> None:
    """Inputs with a default may be left out."""
    check_inputs(PLAN, GOOD)
    check_inputs(PLAN, {**GOOD, "language": "de", "times": 2})


@pytest.mark.parametrize(
    ("inputs", "message", "hint"),
    [
        ({"text": "y", "urgancy": 3}, "The input ticket is missing; triage reads it", "support(ticket="),
        ({"ticket": "x", "text": "y"}, "urgancy is missing; summary reads it", "Did you mean 'urgency'"),
        ({**GOOD, "tickt": "x"}, "support has no input tickt", "Did you mean 'ticket'"),
        ({**GOOD, "ticket": 5}, "ticket does not fit triage", "takes str, and got int"),
        ({**GOOD, "times": "many"}, "times does not fit loud", "takes int, and got str"),
    ],
)
def test_wrong_inputs_say_who_reads_them(inputs: Mapping[str, Any], message: str, hint: str) -> None:
    """Missing, unknown and mistyped inputs are errors with the step and a hint."""
    with pytest.raises(PipelineError, match=message) as caught:
        check_inputs(PLAN, inputs)
    assert hint in str(caught.value.hint)
