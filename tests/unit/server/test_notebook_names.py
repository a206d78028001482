"""What cells define, read off their sources."""

from __future__ import annotations

import enum
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.server.notebook_names import names_of
from dspex_lab.signatures import Assumed, CompiledSignature


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import numpy", ["numpy"]),
        ("import os.path, numpy as np", ["os", "np"]),
        ("from shop import Order, find as find_order", ["Order", "find_order"]),
        ("x, (y, *z) = 1, (2, 3)", ["x", "y", "z"]),
        ("total: int = 0\ntotal += 1", ["total"]),
        ("if ready:\n    a = f()\nelse:\n    b = f()", ["a", "b"]),
        ("try:\n    import fast\nexcept ImportError:\n    fast = None", ["fast"]),
        ("with open(p) as file:\n    for line in file:\n        last = line", ["file", "line", "last"]),
        ("print((n := 10))", ["n"]),
        ("squares = [i * i for i in range(3)]", ["squares"]),
        ("async def ask(): ...", ["ask"]),
        ("%matplotlib inline\n!ls\n?help\nx?\ny = 1", ["y"]),
        ("%%time\nx = 1", ["x"]),
        ("%%bash\nx=1", []),
        ("%%pipeline support --run\na = predict('x -> y')", ["support"]),
        ("class Broken(:\n    pass\nkept = 1\nimport os\nfrom a import b, c as d", ["Broken", "kept", "os", "b", "d"]),
        ("", []),
    ],
)
def test_what_a_cell_binds_is_known(source: str, names: list[str]) -> None:
    """At the top of the cell, in whatever statement; a cell that is being written counts too."""
    assert sorted(names_of([source])) == sorted(names)


def test_what_a_name_plainly_stands_for_is_kept() -> None:
    """Constants, functions and enums with their members; of the rest only that it is there."""
    names = names_of(
        [
            "from enum import Enum\nN = 5\ndef f(x): ...\nclass Order(BaseModel): ...",
            "class Color(str, Enum):\n    RED = 'r'\n    BLUE = 'b'\n    _ignore_ = []",
        ]
    )
    assert names["N"] == 5
    assert not isinstance(names["f"], type)
    assert issubclass(names["Color"], enum.Enum)
    assert list(names["Color"].__members__) == ["RED", "BLUE"]
    assert names["Order"] is Assumed


def test_a_signature_cell_defines_its_signature() -> None:
    """With its fields, also where it names a class of a later cell; one with faults is there all the same."""
    names = names_of(["%%signature Triage\na: str\n->\nb: Box", "%%signature Bad\na: str\n", "class Box: ..."])
    assert isinstance(names["Triage"], CompiledSignature)
    assert names["Bad"] is Assumed


def test_with_a_star_import_every_name_may_be_there() -> None:
    """Nobody can say that one is not."""
    assert names_of(["from shop import *"]).get("Order") is Assumed
    assert names_of(["from shop import Order"]).get("Bill") is None


def test_nothing_of_a_cell_is_executed(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither its statements nor what its definitions would run."""
    names = names_of(
        ["print('run')\nclass A(print('base')):\n    print('body')\n@print\ndef f(x=print('default')): ..."]
    )
    assert sorted(names) == ["A", "f"]
    assert capsys.readouterr().out == ""


@given(st.lists(st.text(max_size=80) | st.text(alphabet="%=():,\n clasdefimport*xy", max_size=80), max_size=4))
def test_no_text_is_a_fault(sources: list[str]) -> None:
    """Whatever somebody is typing."""
    names_of(sources)


def test_a_name_is_settled_where_one_place_binds_it() -> None:
    """Not where cells bind it again, a function may at any time, or anything may come in by a star."""
    once = names_of(["SIGNATURE = 'a -> b'\nother = 1\nother = 2\ndef f():\n    global late\nlate = 5"])
    assert [once.settled(name) for name in ("SIGNATURE", "other", "late")] == ["a -> b", Assumed, Assumed]
    assert names_of(["SIGNATURE = 'a -> b'\nfrom shop import *"]).settled("SIGNATURE") is Assumed
    twice = names_of(["%%signature T\na: str\n->\nb: str", "%%signature T\na: str\n->\nc: str"])
    assert twice.settled("T") is Assumed


def test_a_function_stands_there_with_its_parameters() -> None:
    """Their names, which have defaults, which have types; nothing of it is evaluated, and it does nothing."""
    names = names_of(["def find(order: Order, limit=boom(), *, deep=True) -> Bill:\n    boom()"])
    parameters = inspect.signature(names["find"]).parameters
    assert {name: one.default is one.empty for name, one in parameters.items()} == {
        "order": True,
        "limit": False,
        "deep": False,
    }
    assert parameters["order"].annotation is Assumed
    assert inspect.signature(names["find"]).return_annotation is Assumed
    assert names["find"]("x") is None


def test_a_decorated_function_may_take_anything() -> None:
    """Nobody knows what its decorator makes of it."""
    names = names_of(["@cached\ndef find(order): ..."])
    assert "order" not in inspect.signature(names["find"]).parameters
