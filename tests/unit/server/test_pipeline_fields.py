"""Faults between the steps of a cell that nobody ran: found off its text, and each the compiler's own."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspex_lab.errors import LabError, PipelineError
from dspex_lab.magics.pipeline_line import parse_line
from dspex_lab.pipelines import CONSTRUCTORS, compile_cell
from dspex_lab.pipelines.plan.inputs import check_names
from dspex_lab.server.cell_lint import Diagnostic, lint_cell
from dspex_lab.server.notebook_names import NotebookNames, names_of
from dspex_lab.signatures import compile_signature

TRIAGE = '"""Route."""\nticket: str\n->\nurgency: int\norder: Order'
PYTHON = """
from json import dumps
class Order: ...
SIGNATURE = "text -> words: list[str]"
SHADOWED = "q -> a"
SHADOWED = "q -> b"
def tidy(text: str, limit=5): return text
def maybe(text) -> str | None: ...
def spread(*texts): return texts
def decorate(function): return lambda anything: function(anything)
@decorate
def changed(text): return text
"""
OTHERS = [PYTHON, f"%%signature Triage\n{TRIAGE}"]


def notebook() -> NotebookNames:
    return names_of(OTHERS)


def faults(cell: str) -> list[Diagnostic]:
    return lint_cell(cell, notebook())


def marked(text: str, line: str = "p") -> list[tuple[int, str, str]]:
    cell = f"%%pipeline {line}\n{text}"
    lines = cell.split("\n")
    return [(one.line, lines[one.line - 1][one.start : one.end], one.message) for one in faults(cell)]


def compiled(cell: str, hidden: str = "") -> list[tuple[str, int, str, str]]:
    """What is told when the cell is really run, its error or its warnings: severity, line, message and hint.
    ``hidden`` is what its reader did not see of the notebook."""
    namespace: dict[str, Any] = dict(CONSTRUCTORS)
    exec(f"{PYTHON}\n{hidden}", namespace)  # the notebook's other cells
    namespace["Triage"] = compile_signature(TRIAGE, name="Triage", namespace=namespace)
    first, _, body = cell.partition("\n")
    asked = parse_line(first.removeprefix("%%pipeline "))

    def start(*_: Any, **__: Any) -> Any:
        raise AssertionError("nothing runs here")

    try:
        made = compile_cell(body, namespace=namespace, start=start, name=asked.name, line_offset=1)
        warnings = [("warning", _line(one.where), one.message, one.hint) for one in made.plan.warnings]
        if asked.is_run:
            try:
                check_names(made.plan, asked.inputs)
            except PipelineError as error:
                return [*warnings, ("error", _line(error.where), error.message, error.hint or "")]
    except LabError as error:
        line = _line(error.where) if isinstance(error, PipelineError) else getattr(error, "line", 1)
        return [("error", line, error.message, error.hint or "")]
    return warnings


def told(one: Diagnostic) -> tuple[str, int, str, str]:
    return one.severity, one.line, one.message, one.hint


def _line(where: str) -> int:
    found = re.match(r" +line (\d+)", where)
    return int(found[1]) if found else 1


FAULTY = [
    ('a = predict("q -> x: int")\nb = predict("x: list -> y")', "b", "b reads x as list, and a writes int."),
    ('a = predict("q -> x")\nb = predict("q -> x")', "b", "b writes x, which comes from a already."),
    ('a = predict("x -> y")\nb = predict("y -> x")', "a", "These steps wait for one another: a → b → a."),
    ('a = predict("ticket -> x")\nb = predict("ticket: int -> y")', None, None),
    ('a = predict("n: list -> x")\nb = predict("n: int -> y")', "b", "a reads n as list, and b as int."),
    (
        'a = parallel(x=predict("q -> m"),\n  y=predict("m -> n"))',
        "y",
        "y reads m, which x writes at the same time.",
    ),
    ('a = parallel(x=predict("q -> m"),\n  y=predict("q -> m"))', "y", "y writes m, which comes from x already."),
    ('x = predict("q -> m")\na = parallel(x=predict("m -> n"))', "x", "There are two steps called x."),
    (
        "a = native(lambda a: a)",
        "a",
        "a writes a, which comes from the pipeline's inputs or a later step already.",
    ),
    (
        'a = predict("ticket -> summary")\nb = predict("sumary -> reply")',
        "b",
        "b reads sumary, which no step writes: it is an input.",
    ),
    (
        'a = native(lambda q: 1)\nb = native(lambda q: 2, writes="a", overwrite=True)',
        "a",
        "Nobody reads a of a before b overwrites it.",
    ),
    (
        'a = when(lambda s: s.q, then=predict("q -> mood: str"))\nb = predict("mood: str -> z")',
        "b",
        "b reads mood as str, and it is None when a does not take the branch that writes it.",
    ),
    (
        'a = predict("q -> m: int", optional=True)\nb = predict("m: int -> z")',
        "b",
        "b reads m as int, and it is None when a fails.",
    ),
    ('t = predict(Triage)\nb = predict("urgency: list -> z")', "b", "b reads urgency as list, and t writes int."),
    ('t = predict(SIGNATURE)\nb = predict("words: int -> z")', "b", None),
    ('t = template("{{ text }}")\nb = predict("t: list -> z")', "b", "b reads t as list, and t writes str."),
    ('a = template("{{ text }")', "template", None),
    ('a = each(predict("x -> y: int"), over="xs")\nb = predict("y: int -> z")', "b", None),
    ('a = each(predict("x -> y"), over="n")\nb = predict("n: int -> z")', "b", None),
    ('a = each(predict("x -> y"), over="xs", item="w")', "a", "a hands over each w, which its step does not read."),
    (
        'a = each(predict("x, y -> z"), over="w")',
        "each",
        "Which field of the step takes an item of w is not known.",
    ),
    ("a = parallel()", "parallel", "parallel has no steps."),
    ('a = parallel(x="q -> b")', "parallel", "x is no step but a str."),
    ("a = native(spread)", "native", "spread takes texts by position."),
    ('a = ask("ok?", answer="n: int")\nb = predict("n: list -> z")', "b", "b reads n as list, and a writes int."),
    (
        'a = module("shop.Clerk", signature="q -> x: int")\nb = predict("x: list -> y")',
        "b",
        "b reads x as list, and a writes int.",
    ),
    (
        'a = react("q -> x: int", tools=[dumps])\nb = program_of_thought("x: list -> y", max_iters=2)',
        "b",
        "b reads x as list, and a writes int.",
    ),
    ('sig = "q -> x: int"\na = predict(sig)\nb = predict("x: list -> y")', "b", "b reads x as list, and a writes int."),
    ('a = predict("q -> x")\nb = a', "b", "b writes x, which comes from a already."),
    # Beside steps of which not all is known.
    ('k = native(dumps)\na = predict("q -> x")\nb = predict("q -> x")', "b", "b writes x, which comes from a already."),
    (
        'k = native(dumps)\na = predict("q -> x: int")\nb = predict("x: list -> y")',
        "b",
        "b reads x as list, and a writes int.",
    ),
    (
        'a = parallel(x=predict("q -> m"), y=predict("q -> m"))\nk = changed',
        "y",
        "y writes m, which comes from x already.",
    ),
    ('a = native(tidy)\nb = predict("q -> a")', "b", "b writes a, which comes from a already."),
    ('é = predict("q -> x: int"); b = predict("x: list -> y")', "b", "b reads x as list, and é writes int."),
]
INPUTS = [
    ("p --run tiket='x'", 'a = predict("ticket -> x")', (1, "tiket", "p has no input tiket.")),
    ("p --run", 'a = predict("ticket -> x")', (2, "a", "The input ticket is missing; a reads it.")),
    ("p --run limit=3", "a = native(tidy)", (2, "a", "The input text is missing; a reads it.")),
]
SILENT = [
    "a = predict(Triage)\nb = predict('urgency: float, order: Order -> reply')",
    "a = predict(Triage)\nb = predict('order: int -> reply')",  # whatever an Order is
    "a = predict(unknown_signature)",
    "a = predict(SHADOWED)\nb = predict('a: int -> c')",
    "if True:\n    predict = native\na = predict('q -> a')\nb = predict('q -> a')",
    "from json import *\na = predict('q -> a')\nb = predict('q -> a')",
    "sig = 'q -> x'\nsig = 'q -> y'\na = predict('q -> x')\nb = predict(sig)",
    "k = native(changed)\na = predict('text -> x')",
    "k = native(dumps, overwrite=True, writes=['x'])\na = predict('q -> y')\nb = predict('x: int -> z')",
    "a = predict('q -> x: int')\nk = native(dumps, writes='x', overwrite=True)\nb = predict('x: list -> z')",
    "a = predict('q -> x: int')\nk = predict(unknown, overwrite=True)\nb = predict('x: list -> z')",
    "a = predict('q -> x: int')\nk = helper()\nb = predict('x: list -> z')",
    "a = predict('n: list -> x')\nk = predict(unknown)\nb = predict('n: int -> y')",
    "k = native(dumps)\na = predict('n: list -> x')\nb = predict('n: int -> y')",
    "a = predict('q -> summary')\nk = predict(unknown)\nb = predict('sumary -> z')",
    "a = native(lambda q: 1)\nk = native(dumps)\nb = native(lambda q: 2, writes='a', overwrite=True)",
    "a = predict('q -> x', **more)\nb = predict('q -> x')",
    "a = predict('q -> x', overwrite=flag)\nb = predict('q -> x', overwrite=flag)",
    "a = parallel(**steps)\nb = predict('q -> x')",
    "a = native(maybe, optional=True)\nb = predict('a: str -> z')",
    "a = when(is_urgent, then=predict('q -> mood: str'))\nb = predict('mood -> z')",
    "k = helper()\na = parallel(k=predict('q -> x'))",
    "fields = ['a']\nfields.append('b')\na = native(dumps, reads=fields)\nb = predict('a -> c')",
    "a = native('registered', reads=['q'], writes=['x', 'y'])\nb = predict('x, y -> z')",
    "a = each(native(lambda order: order), over='orders')\nb = predict('orders: list[int] -> z')",
    "a = native(tidy, timeout_s=5, pool='general')\nb = native(lambda a, k=1: a)",
    "a = ask('Fine?', shows=['b'], answer='ok: bool')\nb = predict('q -> b')",
    "a = predict(Triage",
    "a = predict('q -> x', namespace=more)\nb = predict('q -> x')",
    "for n in range(3):\n    a = predict('q -> x')",
    "",
]
BOTH = [f"%%pipeline p\n{text}" for text, *_ in FAULTY] + [f"%%pipeline {line}\n{text}" for line, text, _ in INPUTS]


@pytest.mark.parametrize(("text", "mark", "message"), FAULTY)
def test_a_fault_between_steps_is_marked(text: str, mark: str | None, message: str | None) -> None:
    """At the step that the compiler blames, in its words."""
    found = marked(text)
    assert [one[1] for one in found] == ([] if mark is None else [mark])
    if message is not None:
        assert [one[2] for one in found] == [message]


@pytest.mark.parametrize(("line", "text", "fault"), INPUTS)
def test_inputs_of_the_first_line_are_looked_at(line: str, text: str, fault: tuple[int, str, str]) -> None:
    """One that no step reads, at its place in the line; one that is missing, at the step that reads it."""
    assert marked(text, line) == [fault]


@pytest.mark.parametrize("line", ["p --run q=1 x=2", "p --run", "p --resume q=1", "p"])
def test_inputs_of_what_is_not_clear_are_let_be(line: str) -> None:
    """A step of which not all is known may read any input, and write what seems to be one."""
    assert marked("k = predict(unknown)\na = predict('q -> y')", line)[1:] == []


@pytest.mark.parametrize("text", SILENT)
def test_what_is_right_or_in_doubt_is_not_marked(text: str) -> None:
    """No word of fields; a name that nobody knows, and what is no Python, are other people's business."""
    others = ("No cell of this notebook", "This is no Python")
    assert [one for one in marked(text) if not one[2].startswith(others)] == []


@pytest.mark.parametrize("cell", BOTH)
def test_each_fault_is_the_compilers(cell: str) -> None:
    """The same line, the same words and the same hint when the cell is really run."""
    found = list(map(told, faults(cell)))
    assert found == [one for one in compiled(cell) if one in found]


def test_nothing_of_a_cell_is_executed() -> None:
    """Not its statements, not its defaults, not its conditions."""
    bomb = "boom()"
    text = (
        f"{bomb}\ndef f(x={bomb}): {bomb}\nb = when(lambda s: {bomb}, then=native(f))\nc = native(lambda x={bomb}: 1)"
    )
    names = names_of([f"def g(y={bomb}) -> {bomb}: ...\n{bomb}"])
    assert [one.message for one in lint_cell(f"%%pipeline p\n{text}\nd = native(g)", names)] == []


_FIELDS = st.sampled_from(["q", "x", "y", "z"])
_TYPES = st.sampled_from(["", ": int", ": list[str]", ": str | None"])
_OPTION = st.sampled_from(["", "", "", ", overwrite=True", ", optional=True", ", lm='a/b'"])
_SIGNATURE = st.builds(
    "'{0[0]}{1} -> {0[1]}{2}'".format,
    st.sampled_from([(a, b) for a in "qxyz" for b in "qxyz" if a != b]),
    _TYPES,
    _TYPES,
)
_FUNCTION = st.sampled_from(["lambda x: x", "lambda *, y=1: y", "lambda z, q=2: z", "takes_x"])
_CLEAR = (
    st.builds("predict({}{})".format, _SIGNATURE, _OPTION)
    | st.builds("native({}{})".format, _FUNCTION, _OPTION)
    | st.builds("native({}, reads=['{}'], writes='{}'{})".format, _FUNCTION, _FIELDS, _FIELDS, _OPTION)
    | st.builds("template('{{{{ {} }}}}'{})".format, _FIELDS, _OPTION)
)
_UNCLEAR = (
    st.builds("predict({}{})".format, st.sampled_from(["Triage", "SIGNATURE", "SHADOWED", "f'q -> {name}'"]), _OPTION)
    | st.builds("predict({}, overwrite=FLAG)".format, _SIGNATURE)
    | st.builds("native({}{})".format, st.sampled_from(["tidy", "changed", "dumps", "known", "maybe"]), _OPTION)
    | st.builds("native({}, reads=['{}'], writes='{}'{})".format, st.just("dumps"), _FIELDS, _FIELDS, _OPTION)
    | st.sampled_from(["make()", "anything", "5"])
)


def _cells(leaf: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    step = (
        leaf
        | st.builds("parallel({}={}, {}={})".format, _FIELDS, leaf, st.sampled_from("uv"), leaf)
        | st.builds("when(lambda s: s.{} > 1, then={}, otherwise={})".format, _FIELDS, leaf, leaf)
        | st.builds("when(lambda s: s, then={})".format, leaf)
        | st.builds("each({}, over='{}')".format, leaf, _FIELDS)
    )
    line = st.builds("{} = {}".format, st.sampled_from("abcxyz"), step)
    return st.lists(line, min_size=1, max_size=5, unique_by=lambda one: one[0])


_INPUTS = st.sampled_from(["", " --run", " --run q=1", " --run q=1 x=2"])
#: What a reader of the cell does not know, and what it may be.
_SECRETS = names_of([*OTHERS, "from secret import anything, dumps, changed, make, name, FLAG"])
_HIDDEN = st.builds(
    "make = lambda: {}\nanything = {}\nFLAG = {}\ndumps = {}\nchanged = {}\nname = '{}'".format,
    _CLEAR,
    st.sampled_from(
        ["predict('q -> x, z', overwrite=True)", "native(tidy, writes='x')", "7", "parallel(u=native(tidy))"]
    ),
    st.sampled_from(["True", "False"]),
    st.sampled_from(["tidy", "lambda x, y: 1", "lambda z, q=1: 1", "lambda: 1"]),
    st.sampled_from(["tidy", "lambda x, y: 1", "lambda q: 1"]),
    _FIELDS,
)
_KNOWN = "def known(y: int) -> str: return ''\ndef takes_x(x, q=1): return x\n"


@settings(max_examples=60, deadline=None)
@given(lines=_cells(_CLEAR | _UNCLEAR), hidden=_HIDDEN, inputs=_INPUTS)
def test_whatever_the_unknown_turns_out_to_be_no_alarm_is_false(lines: list[str], hidden: str, inputs: str) -> None:
    """A cell of which an error is told fails when it is run; one that is warned of warns, unless it fails."""
    cell = f"%%pipeline p{inputs}\n{_KNOWN}" + "\n".join(lines)
    found = compiled(cell, f"{_KNOWN}FLAG = True\nname = 'x'\n{hidden}")
    has_failed = any(one[0] == "error" for one in found)
    for one in map(told, lint_cell(cell, _SECRETS)):
        assert one in found or has_failed, (cell, hidden, one, found)


@settings(max_examples=60, deadline=None)
@given(lines=_cells(_CLEAR), inputs=_INPUTS)
def test_where_all_is_known_all_is_told(lines: list[str], inputs: str) -> None:
    """What the compiler says of a cell that hides nothing, and no word less."""
    cell = f"%%pipeline p{inputs}\n{_KNOWN}" + "\n".join(lines)
    assert list(map(told, faults(cell))) == compiled(cell)
