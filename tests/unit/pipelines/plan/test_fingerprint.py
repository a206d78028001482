"""What tells one plan from another, and what does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from dspex_lab.calls import LmSpec
from dspex_lab.pipelines import compile_plan, each, native, predict, template, when
from dspex_lab.pipelines.plan.fingerprint import StepPrint, differing, fingerprint


def prints(**steps: Any) -> tuple[StepPrint, ...]:
    return fingerprint(compile_plan("p", steps))


def base(**others: Any) -> Mapping[str, Any]:
    return {
        "mood": predict("ticket -> mood"),
        "size": native(lambda ticket: len(ticket)),
        "note": template("{{ mood }}"),
        "reply": when(lambda s: s.size in {"a", "b"}, then=native(lambda note: note)),
        **others,
    }


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({}, None),
        ({"mood": predict("ticket -> mood", lm=LmSpec("openai/x", api_key="k"), timeout_s=3)}, None),
        ({"mood": predict("ticket -> mood", instructions="Be kind.")}, "mood"),
        ({"mood": predict("ticket -> mood", demos=[{"ticket": "a", "mood": "b"}])}, "mood"),
        ({"mood": predict("ticket, more -> mood")}, "mood"),
        ({"size": native(lambda ticket: len(ticket) + 1)}, "size"),
        ({"note": template("{{ mood }}!")}, "note"),
        ({"reply": when(lambda s: s.size in {"a", "c"}, then=native(lambda note: note))}, "reply"),
        ({"other": native(lambda ticket: ticket)}, "other"),
    ],
)
def test_finished_steps_must_be_what_they_were(change: Mapping[str, Any], step: str | None) -> None:
    """The first step that differs is named: in its fields or, where it has finished, in what it does."""
    done = ["mood", "size", "note", "reply"]
    assert differing(prints(**base()), prints(**base(**change)), done) == step


def test_a_step_that_has_not_finished_may_be_mended() -> None:
    """Its code may change, its fields may not."""
    mended = prints(**base(size=native(lambda ticket: len(ticket) + 1)))
    assert differing(prints(**base()), mended, ["mood"]) is None
    other = prints(**base(size=native(lambda words: len(words))))
    assert differing(prints(**base()), other, ["mood"]) == "size"


def test_a_step_that_is_gone_is_named() -> None:
    """A plan with fewer steps is another one."""
    steps = dict(base())
    del steps["reply"]
    assert differing(prints(**base()), prints(**steps), []) == "reply"


def test_an_item_of_another_list_is_another_plan() -> None:
    """What an ``each`` goes over is part of it."""
    one = prints(rows=each(native(lambda item: item), over="items"))
    other = prints(rows=each(native(lambda item: item), over="others", item="item"))
    assert differing(one, other, []) == "rows"


_PROGRAM = """
from dspex_lab.pipelines import compile_plan, native, when
from dspex_lab.pipelines.plan.fingerprint import fingerprint
def f(x, *, k=("a", 1)): return [y for y in x if y in {"p", "q", "r"}], (lambda z: z in {"u", "v", "w"})
two = when(lambda s: s.one in {"a", "b", "c"}, then=native(len, reads=["one"]))
print(fingerprint(compile_plan("p", {"one": native(f), "two": two})))
"""


def test_it_is_the_same_in_every_process() -> None:
    """Neither addresses nor the seed of hashes are in it."""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", _PROGRAM], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True, timeout=60
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(outputs) == 1
