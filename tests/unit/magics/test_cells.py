"""``%%signature`` and ``%%pipeline`` as a user meets them in a shell."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from dspex_lab.errors import LabError
from dspex_lab.lab import Lab
from dspex_lab.pipelines import Pipeline, Plan, Run, native
from dspex_lab.pipelines.outcome.result import RunState
from dspex_lab.testing import FakeBackend, FakeCall

Cell = Callable[[str], Any]

TRIAGE = """%%signature Triage
ticket: str
->
category: Literal["billing", "bug"]
"""
SUPPORT = "mood = predict('ticket -> mood: str', route='python')"
BROKEN = "mood = predict('ticket -> broken: str', route='python')"


def error_of(result: Any) -> LabError:
    """The house's error that the cell ended with."""
    assert isinstance(result.error_in_exec, LabError), result.error_in_exec
    return result.error_in_exec


def test_a_signature_is_bound_and_shown(cell: Cell, shell: InteractiveShell) -> None:
    """The cell's value is the compiled signature under its name, with a plain and an HTML card."""
    result = cell(TRIAGE)
    assert result.result is shell.user_ns["Triage"]
    plain, rich = repr(result.result), result.result._repr_html_()
    assert plain == "<Triage: ticket -> category>"
    assert all(word in rich for word in ("Triage", "ticket", "category", "billing"))


def test_a_signature_names_classes_of_the_notebook(cell: Cell) -> None:
    """A class that an earlier cell defined is a type."""
    assert cell("import enum\nclass Mood(enum.Enum):\n    GOOD = 'good'").success
    assert cell("%%signature S\ntext: str\n->\nmood: Mood").success


def test_a_mistyped_signature_names_its_line_in_the_cell(cell: Cell, capsys: pytest.CaptureFixture[str]) -> None:
    """The magic's own line is line 1; the message is short, and a caret and a hint come along, no traceback."""
    result = cell("%%signature T\nticket: str\n->\nmood: Literl['a']\n")
    error = error_of(result)
    assert getattr(error, "line", None) == 4
    shown = capsys.readouterr().out
    assert "  line 4: mood: Literl['a']" in shown
    assert "Hint: " in shown
    assert "Literal" in shown
    assert "Traceback" not in shown
    assert len(shown.strip().splitlines()) <= 5


@pytest.mark.parametrize("name", ["my-sig", "two words", "class", "3"])
def test_a_wrong_name_of_a_signature_is_told(cell: Cell, shell: InteractiveShell, name: str) -> None:
    """What is no name is refused, and nothing is bound."""
    error = error_of(cell(f"%%signature {name}\na -> b"))
    assert "is no name for a signature" in error.message
    assert name not in shell.user_ns


def test_a_pipeline_is_defined_and_known_to_the_lab(cell: Cell, shell: InteractiveShell, lab: Lab) -> None:
    """Without --run the cell's value is the pipeline, under its name here and in the lab."""
    result = cell(f"%%pipeline support\n{SUPPORT}")
    made = shell.user_ns["support"]
    assert isinstance(made, Pipeline)
    assert result.result is made
    assert lab.pipelines.find("support") is made


def test_a_pipeline_that_was_made_in_python_can_be_a_step(cell: Cell, shell: InteractiveShell, lab: Lab) -> None:
    """By the name that it was made under, though no variable is called so; the words of Python stay what they are."""
    for name in ("shouting", "max"):
        made = Pipeline(name, {"loud": native(lambda text: text.upper())}, start=lab.launcher.start)
        lab.pipelines.replace(name, made)
    cell("%%pipeline outer\ninner = shouting\nend = native(lambda loud: max(loud))")
    assert shell.user_ns["outer"](text="abc").to_dict() == {"loud": "ABC", "end": "C"}


def test_a_pipeline_runs_with_inputs_of_the_notebook(
    cell: Cell, shell: InteractiveShell, backend: FakeBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    """Inputs are expressions over the notebook's names; the text form of the panel shows the result."""
    cell("words = ['late', 'again']")
    result = cell(f"%%pipeline support --run ticket=' '.join(words)\n{SUPPORT}")
    assert result.success
    assert result.result is None
    assert backend.calls[-1].args["inputs"] == {"ticket": "late again"}
    assert shell.user_ns["support"].last_run.result().mood == "the mood"
    assert "the mood" in capsys.readouterr().out


def test_a_pipeline_runs_in_the_background(cell: Cell) -> None:
    """With --background the cell's value is the run, which can be waited for."""
    run = cell(f"%%pipeline support --run --background ticket='x'\n{SUPPORT}").result
    assert isinstance(run, Run)
    assert run.result(10).mood == "the mood"


def test_a_dry_run_shows_the_plan_and_runs_nothing(cell: Cell, backend: FakeBackend) -> None:
    """The cell's value is the plan; inputs that are given are checked against it."""
    assert isinstance(cell(f"%%pipeline support --dry-run ticket='x'\n{SUPPORT}").result, Plan)
    assert "has no input tickt" in error_of(cell(f"%%pipeline support --dry-run tickt='x'\n{SUPPORT}")).message
    assert backend.calls == []


@pytest.mark.parametrize(
    ("line", "body", "message", "place"),
    [
        ("support --run ticket=unheard_of", SUPPORT, "NameError: name 'unheard_of'", "  line 1: %%pipeline support"),
        ("support --run ticket=1/0", SUPPORT, "ZeroDivisionError", "  line 1: %%pipeline support --run ticket=1/0"),
        ("support --run", SUPPORT, "The input ticket is missing; mood reads it.", "  line 2: mood = predict"),
        ("support --run ticket='x'", BROKEN, "mood failed: ", "  line 2: mood = predict"),
    ],
)
def test_a_pipeline_stays_defined_when_its_run_fails(
    cell: Cell,
    shell: InteractiveShell,
    capsys: pytest.CaptureFixture[str],
    line: str,
    body: str,
    message: str,
    place: str,
) -> None:
    """A wrong input and a failing step show the user's own line, and the next cell can use the pipeline."""
    error = error_of(cell(f"%%pipeline {line}\n{body}"))
    assert message in error.message
    assert place in capsys.readouterr().out
    assert isinstance(shell.user_ns["support"], Pipeline)
    assert cell(f"%%pipeline other --run ticket='x'\n{SUPPORT}").success


def test_a_wrong_step_names_its_line_in_the_cell(cell: Cell, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped constructor is told with line 3 of the cell, a caret and the nearest name."""
    error = error_of(cell(f"%%pipeline support\n{SUPPORT}\nreply = predct('mood -> reply')"))
    assert "predict" in (error.hint or "")
    assert "  line 3: reply = predct(" in capsys.readouterr().out


def test_an_interrupt_cancels_the_run(
    cell: Cell, lab: Lab, backend: FakeBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kernel → Interrupt ends the cell, the run and the call; it is shown in a line, and the next cell works."""
    was_stopped = threading.Event()

    async def hang(call: FakeCall) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await call.clock.sleep(60)
        finally:
            was_stopped.set()

    before = backend.handlers["dspy.run"]
    backend.handlers["dspy.run"] = hang
    result = cell(f"%%pipeline support --run ticket='x'\n{SUPPORT}")
    assert isinstance(result.error_in_exec, KeyboardInterrupt)
    assert was_stopped.wait(10)
    assert [run.state for run in lab.launcher.runs] == [RunState.CANCELLED]
    shown = capsys.readouterr().out
    assert "KeyboardInterrupt: the run of support was cancelled." in shown
    assert ".py" not in shown
    cell("support(ticket='x')")
    assert "\n  line 1: support(ticket='x')" in capsys.readouterr().out
    backend.handlers["dspy.run"] = before
    assert cell("support(ticket='x')").success


def test_a_run_is_resumed_by_its_cell(cell: Cell, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    """With --resume the newest unfinished run of that name goes on; the steps that it has finished are not repeated."""
    cell("done, broken = [], [True]")
    cell("def first(ticket):\n    done.append(ticket)\n    return ticket")
    cell("def second(first):\n    if broken:\n        raise ValueError('it broke')\n    return first + '!'")
    body = "one = native(first, writes='first')\ntwo = native(second)"
    error_of(cell(f"%%pipeline fragile --run ticket='late'\n{body}"))
    cell("broken.clear()")
    assert cell(f"%%pipeline fragile --resume\n{body}").success
    assert shell.user_ns["fragile"].last_run.result().two == "late!"
    assert shell.user_ns["done"] == ["late"]
    assert "No run of fragile waits" in error_of(cell(f"%%pipeline fragile --resume\n{body}")).message
    assert "--run does not" in error_of(cell(f"%%pipeline fragile --resume --run\n{body}")).message
