"""The editor's routes on a real server: faults, words and templates."""

from __future__ import annotations

import nbformat
import pytest

from tests.unit.server.conftest import TOKEN, Server


def test_a_cell_is_checked_with_the_names_of_the_others(server: Server) -> None:
    """Its faults with their places; a class of another cell is none."""
    cell = "%%signature A\na: Order\nb: strr\n->\nc"
    told = server.post("lint", {"cell": cell, "others": ["class Order: ..."]}).json()
    (fault,) = told["diagnostics"]
    assert (fault["line"], fault["start"], fault["end"], fault["severity"]) == (3, 3, 7, "error")
    assert (fault["message"], fault["hint"]) == ("Unknown type `strr`.", "Did you mean `str`?")


def test_words_are_offered_without_a_kernel(server: Server) -> None:
    """Those that the kernel would offer, the classes of other cells among them."""
    cell = "%%signature A\na: Ord"
    told = server.post("complete", {"cell": cell, "cursor": len(cell), "others": ["class Order: ..."]}).json()
    assert told["words"] == ["OrderedDict", "Order"]
    cell = "%%pipeline p\na = predict('x -> y', str"
    assert "stream=" in server.post("complete", {"cell": cell, "cursor": len(cell)}).json()["words"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("lint", {}),
        ("lint", {"cell": 5}),
        ("lint", {"cell": "", "others": "x"}),
        ("lint", {"cell": "", "others": [5]}),
        ("complete", {"cell": ""}),
        ("complete", {"cell": "", "cursor": "0"}),
    ],
)
def test_what_is_no_cell_is_refused(server: Server, path: str, body: object) -> None:
    """400 with a word."""
    answer = server.post(path, body)
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_a_very_large_request_is_refused(server: Server) -> None:
    """413; nobody types 3 MB."""
    assert server.post("lint", {"cell": "x" * 3_000_000}).status_code == 413


def test_templates_are_notebooks(server: Server) -> None:
    """Each in the list can be had, and is one by Jupyter's own schema."""
    names = [one["name"] for one in server.get("templates")["templates"]]
    assert names == ["signature", "pipeline", "batch"]
    for name in names:
        nbformat.validate(server.get(f"templates/{name}")["content"])
    assert server.ask("templates/none", Authorization=f"token {TOKEN}").status_code == 404
