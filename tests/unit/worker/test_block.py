"""A piece of generated code in its namespace: what its last line, SUBMIT, its tools and its faults come to."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from dspex_lab.worker.block import Session


@pytest.fixture(autouse=True)
def _streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session takes the standard streams for itself; they are given back here."""
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)


def run(code: str, *, session: Session | None = None, **request: Any) -> dict[str, Any]:
    variables = request.pop("variables", {})
    values = [json.dumps(value) for value in variables.values()]
    own = session or Session({"values": values, **request})
    return own.run({"code": code, "variables": {name: index for index, name in enumerate(variables)}})


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("1 + 1", {"output": "", "result": 2}),
        ("x = 1", {"output": "", "result": None}),
        ("", {"output": "", "result": None}),
        ("print('a'); {'b': (1, 2)}", {"output": "a\n", "result": {"b": [1, 2]}}),
        ("object", {"output": "", "result": "<class 'object'>"}),
        ("2**64 - 1, -(2**63)", {"output": "", "result": [2**64 - 1, -(2**63)]}),
        ("2**64, [-(2**63) - 1]", {"output": "", "result": [str(2**64), [str(-(2**63) - 1)]]}),
        ("SUBMIT(2**100)", {"output": "", "final": {"output": str(2**100)}}),
        ("float('nan')", {"output": "", "result": "nan"}),
        ("SUBMIT(5); print('unheard')", {"output": "", "final": {"output": 5}}),
        ("SUBMIT({'a': 1})", {"output": "", "final": {"output": {"a": 1}}}),
        ("SUBMIT(a=1, b=2)", {"output": "", "final": {"a": 1, "b": 2}}),
        ("import sys; print('e', file=sys.stderr)", {"output": "e\n", "result": None}),
    ],
)
def test_how_code_ends(code: str, expected: dict[str, Any]) -> None:
    """Printed text, the value of the last line where it is an expression, and what was submitted."""
    assert run(code) == expected


@pytest.mark.parametrize(
    ("code", "error_type", "error"),
    [
        ("\n1 / 0", "ZeroDivisionError", "ZeroDivisionError: division by zero (line 2)"),
        ("def f():\n  raise KeyError('k')\nf()", "KeyError", "KeyError: 'k' (line 2)"),
        ("raise ValueError", "ValueError", "ValueError (line 1)"),
        ("exit()", "NameError", None),
        ("a b", "SyntaxError", None),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", None),
    ],
)
def test_faults_are_told_with_their_line(code: str, error_type: str, error: str | None) -> None:
    """The line is the code's own, however deep the fault."""
    outcome = run(code.replace("exit()", "no_such_name"))
    assert outcome["error_type"] == error_type
    assert error is None or outcome["error"] == error


@pytest.mark.parametrize(
    "code", ["SUBMIT(1, 2)", "SUBMIT(a=1, b=2)", "SUBMIT({'a': 1, 'b': 2})"], ids=["places", "names", "one dict"]
)
def test_fields_are_submitted_by_place_by_name_or_in_one_dict(code: str) -> None:
    """Models write all three."""
    assert run(code, output_fields=["a", "b"])["final"] == {"a": 1, "b": 2}


@pytest.mark.parametrize("code", ["SUBMIT(1)", "SUBMIT(a=1)", "SUBMIT(1, 2, 3)", "SUBMIT(1, b=2)", "SUBMIT(c=1)"])
def test_wrong_fields_are_the_codes_own_fault(code: str) -> None:
    """The code hears a TypeError and may submit again."""
    assert run(code, output_fields=["a", "b"])["error_type"] == "TypeError"


def test_a_block_finds_what_the_one_before_left() -> None:
    """Names, imports and functions stay, also those of a block that failed."""
    session = Session({"values": []})
    run("import math\ndef f(x): return math.floor(x)\n1 / 0", session=session)
    assert run("f(1.5)", session=session)["result"] == 1


def test_a_shared_value_is_each_blocks_own() -> None:
    """A block that changes a variable's value does not change what the next is given."""
    session = Session({"values": ["[1]"]})
    for _ in range(2):
        assert session.run({"code": "x.append(2); x", "variables": {"x": 0}})["result"] == [1, 2]


def test_a_tool_without_an_answer_is_asked_for() -> None:
    """The block stops there, even if it catches what it can."""
    session = Session({"values": [], "tools": ["ask"]})
    run("try:\n  ask('a', b=1)\nexcept Exception:\n  pass", session=session)
    assert session.wanted == [{"name": "ask", "args": ["a"], "kwargs": {"b": 1}}]


def test_answers_are_given_in_their_order() -> None:
    """The same question asked twice has two answers; what a tool raised is raised."""
    call = {"name": "ask", "args": ["a"], "kwargs": {}}
    answers = [{**call, "value": 1}, {**call, "value": 2}, {**call, "error": "LookupError: no"}]
    session = Session({"values": [], "tools": ["ask"], "answers": answers})
    assert run("[ask('a'), ask('a')]", session=session)["result"] == [1, 2]
    assert run("ask('a')", session=session)["error"].startswith("RuntimeError: LookupError: no")
    assert session.wanted == []


def test_tools_on_threads_are_asked_for_together() -> None:
    """Code that asks in parallel needs one round and not one for each."""
    session = Session({"values": [], "tools": ["ask"]})
    run(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(3) as pool: print(list(pool.map(ask, [1, 2, 3])))",
        session=session,
    )
    assert sorted(one["args"][0] for one in session.wanted) == [1, 2, 3]


def test_output_is_cut_and_says_so() -> None:
    """The beginning is kept."""
    output = run("print('x' * 200_000)")["output"]
    assert len(output) < 100_100
    assert output.endswith("(100001 more characters)")


def test_an_error_that_cannot_be_shown_is_told_by_its_name() -> None:
    """Its own code raises when it is asked for its text."""
    code = "class Odd(Exception):\n def __str__(self): raise ValueError\nraise Odd"
    assert run(code) == {"output": "", "error": "Odd: <unprintable> (line 3)", "error_type": "Odd"}
