"""The first line of a ``%%pipeline`` cell: names, flags and inputs, and what is wrong with them."""

from __future__ import annotations

import ast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dspex_lab.errors import PipelineError
from dspex_lab.magics.pipeline_line import PipelineLine, parse_line

NAMES = st.sampled_from(["a", "ticket", "n_2", "été", "lambda_", "run"])
ATOMS = st.one_of(
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12),
    st.binary(max_size=6),
).map(repr)
PLAIN = st.sampled_from(
    [
        "x",
        "x.y[1:2]",
        "f(a=1, *b, **c)",
        "lambda: 0",
        "lambda x=1, *, y=2: x == y",
        "lambda x=lambda y=1: y: x",
        "f'{x=} {y!r:>{w}}'",
        "'--run a=1'",
        "--x",
        "a - -b",
        "not --x",
        "[i for i in x if i == 1]",
        "{'a': 1, **b}",
        "...",
        "x if y else --z",
        "(y := 2)",
        'r"\\d # no comment"',
    ]
)
EXPRESSIONS = st.recursive(
    ATOMS | PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}) + ({two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}) if ({two[1]}) else None"),
        inner.map(lambda one: f"f(x={one}, y=({one}))"),
        inner.map(lambda one: f"lambda k=({one}): k"),
    ),
    max_leaves=5,
)
FLAGS = st.lists(st.sampled_from(["--run", "--background", "--dry-run"]), unique=True, max_size=3)


@given(inputs=st.dictionaries(NAMES, EXPRESSIONS, max_size=4), flags=FLAGS, data=st.data())
@example(inputs={"a": "x", "n_2": "--x"}, flags=["--run"], data=None)
def test_any_expressions_come_back_as_they_were_written(
    inputs: dict[str, str], flags: list[str], data: st.DataObject | None
) -> None:
    """Flags may stand anywhere between inputs; every input is the very text that was written."""
    words = [f"{name}={text}" for name, text in inputs.items()] + [
        "--run",
        *(flag for flag in flags if flag != "--run"),
    ]
    words = data.draw(st.permutations(words)) if data else words
    read = parse_line("support " + "  ".join(words))
    wanted = PipelineLine("support", True, "--background" in flags, "--dry-run" in flags, inputs=inputs)
    assert read == wanted


@given(st.text(max_size=40))
def test_no_line_breaks_it(line: str) -> None:
    """Whatever stands there is read, or refused with a ``PipelineError`` whose inputs are Python."""
    try:
        read = parse_line(line)
    except PipelineError:
        return
    for source in read.inputs.values():
        ast.parse(source.strip(), mode="eval")


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("", PipelineLine("pipeline")),
        ("support", PipelineLine("support")),
        ("--run", PipelineLine("pipeline", is_run=True)),
        ('--run ticket="x y"', PipelineLine("pipeline", is_run=True, inputs={"ticket": '"x y"'})),
        ("s --dry-run", PipelineLine("s", is_dry_run=True)),
        ("s --run  # with n=3", PipelineLine("s", is_run=True)),
        ("s --run n = 3", PipelineLine("s", is_run=True, inputs={"n": "3"})),
        ("s n=3 --run --background", PipelineLine("s", is_run=True, is_background=True, inputs={"n": "3"})),
    ],
)
def test_lines_that_people_write(line: str, wanted: PipelineLine) -> None:
    """A name may be left out, inputs may stand before the flags, and a comment ends the line."""
    assert parse_line(line) == wanted


@pytest.mark.parametrize(
    ("line", "message", "hint", "under"),
    [
        ("support --runn", "%%pipeline has no flag --runn.", "Did you mean --run?", "--runn"),
        ("support --bg --run", "%%pipeline has no flag --bg.", "There are --run, --resume,", "--bg"),
        ("support --run=3", "--run takes no value.", "Write --run alone.", "=3"),
        ("support -run", "'-run' is no input.", "Did you mean --run?", "-run"),
        ("support run", "'run' is no input.", "Did you mean --run?", "run"),
        ("support --run hello", "'hello' is no input.", "Write name=value", "hello"),
        ("support n=3", "Inputs are given, but the pipeline is not run.", "Add --run.", "n=3"),
        ("support --background", "--background says how to run", "Add --run.", "--background"),
        ("support --run n=1 n=2", "The input n is given twice.", "Give it once.", "n=2"),
        ("support --run n=", "The input n has no value.", "Write name=value", "n="),
        ("support --run t=I was charged", "The input t is no Python expression", "Text needs quotes", "I was"),
        ("support --run t='I was", "The input t is no Python expression", "Text needs quotes", "'I was"),
        ("support --run n=[1, 2", "The inputs cannot be read: a bracket or a quote is not closed.", "Write", "--run"),
        ("support --run class=1", "'class' is no name for an input.", "", "class"),
        ("class --run", "'class' is no name for a pipeline.", "Write one name", "class"),
        ("my-name", "'my-name' is no name for a pipeline.", "Write one name", "my-name"),
        ("n=3 --run", "'n=3' is no name for a pipeline.", "Write the name first", "n=3"),
    ],
)
def test_a_wrong_line_is_told_with_its_place(line: str, message: str, hint: str, under: str) -> None:
    """A short message, a hint, and the user's line with a caret under what is wrong; it is line 1 of the cell."""
    with pytest.raises(PipelineError) as caught:
        parse_line(line)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    shown, caret = caught.value.where.split("\n")
    assert shown == f"  line 1: %%pipeline {line}"
    assert shown[len(caret) - 1 :].startswith(under)
