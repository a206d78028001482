"""Errors as a user sees them in a notebook: a short message, a hint and the user's own line; the notebook goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dspex_lab.testing.notebook import Notebook

GIVEN = """\
def shout(ticket: str) -> str:
    return ticket.upper() + 1

def size(text: str) -> int:
    return len(text)
"""
TRIAGE = """%%signature Triage
ticket: str
->
mood: Literal["good", "bad"]
"""


@pytest.fixture(scope="module")
def notebook(open_notebook: Callable[..., Notebook]) -> Notebook:
    """One notebook for all tests here: what fails in one must not harm the next."""
    made = open_notebook()
    made.value(GIVEN)
    made.value(TRIAGE)
    return made


@pytest.mark.parametrize(
    ("cell", "name", "lines"),
    [
        pytest.param(
            "%%signature Wrong\nticket: str\n->\nmood: Literl['a']",
            "SignatureError",
            ["Unknown type `Literl`.", "  line 4: mood: Literl['a']", "Hint: Did you mean `Literal`?"],
            id="a mistyped signature",
        ),
        pytest.param(
            "%%pipeline support --run\n# the first step\nmood = predict(Triage)",
            "PipelineError",
            [
                "The input ticket is missing; mood reads it.",
                "  line 3: mood = predict(Triage)",
                "Hint: Give it: support(",
            ],
            id="a missing input",
        ),
        pytest.param(
            "%%pipeline support --run ticket='x' --runn\nmood = predict(Triage)",
            "PipelineError",
            ["no flag --runn", "  line 1: %%pipeline support --run ticket='x' --runn", "Hint: Did you mean --run?"],
            id="a mistyped flag",
        ),
        pytest.param(
            "%%pipeline loud --run ticket='x'\nmood = native(shout, pool='general')",
            "PipelineError",
            ["mood failed: TypeError: can only concatenate str", "  a cell, line 2: return ticket.upper() + 1"],
            id="an exception in a worker",
        ),
        pytest.param(
            "%%pipeline loud --run ticket='x'\nmood = native(shout)",
            "PipelineError",
            ["mood failed: TypeError: can only concatenate str", "  a cell, line 2: return ticket.upper() + 1"],
            id="an exception in the notebook",
        ),
        pytest.param(
            "x = 1\nlab.native(shout, pool='general')(ticket='x')",
            "PythonError",
            ["TypeError: can only concatenate str", "  a cell, line 2: return ticket.upper() + 1"],
            id="an exception in a worker, from Python",
        ),
        pytest.param(
            "x = 1\nlab.predict(Triage, lm='local/not-there')(ticket='x')",
            "ModelError",
            [
                "There is no local model 'not-there'.",
                "  line 2: lab.predict(Triage",
                "Hint: Known: local/smollm2-135m.",
            ],
            id="a local model that is not there",
        ),
        pytest.param(
            "lab.predict(Triage, lm='openai/gpt-4o-mini')(ticket='x')",
            "ModelError",
            ["openai/gpt-4o-mini needs a key.", "  line 1: lab.predict(Triage", "Hint: Set OPENAI_API_KEY"],
            id="a model without a key",
        ),
        pytest.param(
            "lab.predict(Triage)(tickt='x')",
            "ValidationError",
            ["There is no such field.", "  line 1: lab.predict(Triage)", "Hint: Did you mean `ticket`"],
            id="a mistyped input",
        ),
        pytest.param(
            "%lab start genral",
            "ConfigurationError",
            ["There is no pool 'genral'.", "Hint: The pools are: general, optimizer, neural"],
            id="a mistyped pool",
        ),
    ],
)
def test_an_error_is_short_and_the_notebook_goes_on(notebook: Notebook, cell: str, name: str, lines: list[str]) -> None:
    """What is shown is at most five lines: the message, the user's line and the hint. The next cell works."""
    shown = notebook.run(cell)
    assert shown.error_name == name
    assert "Traceback" not in shown.error
    assert len(shown.error.splitlines()) <= 5
    assert [line for line in lines if line not in shown.error] == []
    assert notebook.value("lab.native(size)(text='four').size") == "4"


@pytest.mark.parametrize(
    ("folder", "message"),
    [("/dev/null/lab", "The runtime folder /dev/null/lab cannot be made"), ("/tmp/" + "x" * 100, "too long for Unix")],
    ids=["a file in its place", "a long path"],
)
def test_without_a_host_the_notebook_goes_on(notebook: Notebook, folder: str, message: str) -> None:
    """No host to be had is said at once, with the variable to set; native steps go on, and so does the lab before."""
    notebook.value(f"before = lab.use_lab(lab.Lab(lab.Settings.create(runtime_dir={folder!r})))")
    shown = notebook.run("lab.native(shout, pool='general')(ticket='x')")
    assert shown.error_name == "ConfigurationError"
    assert message in shown.error
    assert "Hint: Set DSPEX_LAB_RUNTIME_DIR" in shown.error
    assert "  line 1: lab.native(shout" in shown.error
    assert notebook.value("lab.native(size)(text='four').size") == "4"
    notebook.value("lab.use_lab(before).close()")
    assert notebook.value("lab.native(size, pool='general')(text='four').size") == "4"
