"""What an editor underlines, in cells that no kernel has seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.server.cell_lint import Diagnostic, lint_cell
from dspex_lab.server.notebook_names import names_of
from dspex_lab.server.notebook_templates import TEMPLATES, notebook_of

OTHERS = names_of(
    [
        "import shop\nfrom shop import Order\nN = 5\ndef find_order(id): ...",
        "class Color(Enum):\n    RED = 1\nclass Bill(BaseModel): ...",
        "%%signature Triage\nticket: str\n->\nurgency: int",
    ]
)


def faults(cell: str) -> list[Diagnostic]:
    return lint_cell(cell, OTHERS)


def marked(cell: str) -> list[tuple[str, str]]:
    """What is underlined, and the message, for each fault."""
    lines = cell.split("\n")
    return [(lines[one.line - 1][one.start : one.end], one.message) for one in faults(cell)]


SIGNATURE = "%%signature Answer\nquestion: {type}\n->\nanswer: str"
PIPELINE = "%%pipeline p\n{text}"


@pytest.mark.parametrize(
    "kind", ["str", "Bill", "list[Order]", "shop.Item", "shop.deep.Box[int]", "Literal[Color.RED]"]
)
def test_what_other_cells_define_is_no_fault(kind: str) -> None:
    """Classes, imports and modules of the notebook's count as known, whatever is in them."""
    assert faults(SIGNATURE.format(type=kind)) == []


@pytest.mark.parametrize(
    ("kind", "mark", "message"),
    [
        ("strr", "strr", "Unknown type `strr`."),
        ("N", "N", "`N` is an int, not a type."),
        ("find_order", "find_order", "`find_order` is a function, not a type."),
        ("Literal[Color.GREEN]", "Color.GREEN", "`Color` has no `GREEN`."),
        ("Annotated[int, Field(gt=1, lt='x')]", "lt", "The option `lt` wants a number, not 'x'."),
    ],
)
def test_a_fault_in_a_signature_is_marked(kind: str, mark: str, message: str) -> None:
    """The word itself, with the grammar's own message."""
    assert marked(SIGNATURE.format(type=kind)) == [(mark, message)]


def test_every_field_has_its_fault() -> None:
    """All at once, each at its line of the cell, the magic's own line being the first."""
    cell = '%%signature A\n"""Why."""\na: strr\nb: int\n->\nc: flaot'
    assert [(one.line, one.severity) for one in faults(cell)] == [(3, "error"), (6, "error")]
    assert [one.hint for one in faults(cell)] == ["Did you mean `str`?", "Did you mean `float`?"]


def test_a_signature_that_is_being_written_is_marked_where_it_ends() -> None:
    """Something is underlined even where nothing stands yet."""
    (fault,) = faults("%%signature A\na: str\n")
    assert fault.end > fault.start
    assert faults("%%signature two names\na -> b")[0].line == 1


@pytest.mark.parametrize(
    ("line", "mark"),
    [
        ('a = predict("q: strr -> b")', "strr"),
        ('ä = parallel(x=predict("ü -> b: Lterl"))', "Lterl"),
        ("a = predict(Triage, strem=True)", "strem"),
        ("a = when(lambda s: s.u > 1, then=predict(Triage), otherwse=predict(Triage))", "otherwse"),
        ('a = react("x -> y", tools=[find_ordr])', "find_ordr"),
        ("a = predict(Triag)", "Triag"),
        ("predict(Triage)", "predict"),
        ("a = predict(Triage)\na = predict(Triage)", "a"),
        ("a = predict(Triage", "("),
    ],
)
def test_a_fault_in_a_pipeline_is_marked(line: str, mark: str) -> None:
    """In the signatures of its steps, in their options, in the names that they use; none of it is run."""
    assert [text for text, _ in marked(PIPELINE.format(text=line))] == [mark]


@pytest.mark.parametrize(
    "text",
    [
        "a = predict(Triage, lm='openai/gpt', stream=True)",
        "a = each('items', predict(Triage), concurrency=2)",
        "a = native(lambda x: N + x, writes='b')\nlimit = N\nb = native(len, reads=['a'])",
        "def f(x): ...\na = native(f)",
        "import json\na = native(json.dumps)",
        "a = ask('Fine?', shows=['b'], answer='ok: bool', timeout_s=5)",
        "a = template('{{ x }}')\nsteps = [predict(Triage) for _ in range(3)]",
    ],
)
def test_a_pipeline_that_is_right_has_no_fault(text: str) -> None:
    """Nothing is underlined that runs."""
    assert faults(PIPELINE.format(text=text)) == []


@pytest.mark.parametrize(("line", "mark"), [("p --rum", "--rum"), ("2p", "2p"), ("p x=1", "x"), ("p --run x=", "x")])
def test_a_fault_in_the_magics_line_is_marked(line: str, mark: str) -> None:
    """On the first line, at its place."""
    cell = f"%%pipeline {line}\na = predict(Triage)"
    (fault,) = faults(cell)
    assert fault.line == 1
    assert cell.split("\n")[0][fault.start :].startswith(mark)


@pytest.mark.parametrize("cell", ["", "print(strr)", "%%time\nx: strr", "# %%signature A\nx: strr", "%lab"])
def test_other_cells_are_left_alone(cell: str) -> None:
    """Only ours are looked at."""
    assert faults(cell) == []


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_templates_have_no_fault(name: str) -> None:
    """What a notebook begins with is not underlined."""
    sources = [cell["source"] for cell in notebook_of(TEMPLATES[name])["cells"] if cell["cell_type"] == "code"]
    for index, source in enumerate(sources):
        assert lint_cell(source, names_of(sources[:index] + sources[index + 1 :])) == []


@given(
    st.sampled_from(["%%signature ", "%%pipeline "]),
    st.text(max_size=120) | st.text(alphabet="abp=():,->\n \"'\\üpredict[]%#", max_size=120),
)
def test_whatever_is_typed_has_places_in_its_text(magic: str, text: str) -> None:
    """No text is a fault of ours, and each mark is within its line."""
    cell = magic + text
    lines = cell.split("\n")
    for one in lint_cell(cell, OTHERS):
        assert 0 <= one.start <= one.end <= len(lines[one.line - 1])
        assert one.message
