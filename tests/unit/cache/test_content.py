"""The content of code: the same for what acts the same, in every process, and another for whatever acts differently."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import numpy as np
import pandas as pd
import pydantic
import pytest

from dspex_lab.cache import content_key, content_of
from dspex_lab.errors import ValidationError


def key(value: Any) -> str:
    return content_key(content_of(value))


def made(text: str, name: str = "f", **around: Any) -> Any:
    """What ``text`` defines, as in a cell of a notebook."""
    namespace: dict[str, Any] = {"__name__": "__main__", **around}
    exec(compile(text, f"<cell {len(text)}>", "exec"), namespace)
    return namespace[name]


BASE = "def f(x, y=1, *, z=2):\n    return x + y + z"


@pytest.mark.parametrize(
    "same",
    [
        BASE,
        "# a comment\n\n" + BASE,
        "def f(x, y=1, *, z=2):\n\n    # why\n    return x + y + z",
        "UNUSED = 3\n" + BASE,
    ],
)
def test_where_code_stands_does_not_matter(same: str) -> None:
    """Comments, blank lines, the file and what is not used leave the content as it is."""
    assert key(made(same)) == key(made(BASE))


@pytest.mark.parametrize(
    "other",
    [
        "def f(x, y=1, *, z=2):\n    return x + y - z",
        "def f(x, y=1, *, z=2):\n    return x + y + z + 1",
        "def f(x, y=2, *, z=2):\n    return x + y + z",
        "def f(x, y=1, *, z=3):\n    return x + y + z",
        "def f(x, y=1.0, *, z=2):\n    return x + y + z",
        "def f(x, y=True, *, z=2):\n    return x + y + z",
        "def f(a, y=1, *, z=2):\n    return a + y + z",
        "async def f(x, y=1, *, z=2):\n    return x + y + z",
    ],
)
def test_what_code_does_matters(other: str) -> None:
    """The body, the defaults and the parameters each make another content."""
    assert key(made(other)) != key(made(BASE))


CELL = "def helper(x):\n    return x + LIMIT\ndef f(x):\n    return [helper(one) for one in x]"


@pytest.mark.parametrize(
    ("text", "limit"), [(CELL, 4), (CELL.replace("x + LIMIT", "x - LIMIT"), 3), (CELL, 3.0), (CELL, None)]
)
def test_what_code_calls_and_reads_matters(text: str, limit: Any) -> None:
    """Another helper, or another value of a global name, however deep, makes another content."""
    assert key(made(text, LIMIT=limit)) != key(made(CELL, LIMIT=3))
    assert key(made(CELL, LIMIT=3)) == key(made(CELL, LIMIT=3))


def test_what_a_closure_holds_matters() -> None:
    """Two functions of one text differ by what they closed over."""

    def adder(n: int) -> Callable[[int], int]:
        return lambda x: x + n

    assert key(adder(1)) == key(adder(1))
    assert key(adder(1)) != key(adder(2))


def test_what_is_used_of_a_module_of_the_user_matters() -> None:
    """``helpers.work`` counts by what work does now, not by its name."""
    keys = set()
    for number in (1, 2, 1):
        module = types.ModuleType("helpers_of_mine")
        exec(f"def work(x): return x + {number}", vars(module))
        keys.add(key(made("def f(x):\n    return helpers.work(x)", helpers=module)))
    assert len(keys) == 2


def test_a_module_that_is_imported_inside_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import in the function's body is followed like a global name."""
    (tmp_path / "mine_inside.py").write_text("def work(x): return x")
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("mine_inside")
    function = made("def f(x):\n    import mine_inside\n    return mine_inside.work(x)")
    before = key(function)
    monkeypatch.setattr(sys.modules["mine_inside"], "work", lambda x: -x)
    assert key(function) != before
    del sys.modules["mine_inside"]


def test_classes_count_by_what_they_are() -> None:
    """Fields, defaults, constraints, methods and bases of a user's class each make another content."""
    texts = [
        "class f:\n    x: int = 1",
        "class f:\n    x: int = 2",
        "class f:\n    x: str = 1",
        "class f:\n    x: int = 1\n    def m(self): return 1",
        "class f:\n    x: int = 1\n    def m(self): return 2",
        "class f(dict):\n    x: int = 1",
        "import enum\nclass f(enum.Enum):\n    A = 1",
        "import enum\nclass f(enum.Enum):\n    A = 2",
        "import dataclasses\n@dataclasses.dataclass\nclass f:\n    x: int = 1",
        "import pydantic\nclass f(pydantic.BaseModel):\n    x: int = pydantic.Field(ge=1)",
        "import pydantic\nclass f(pydantic.BaseModel):\n    x: int = pydantic.Field(ge=2)",
        "import pydantic\nclass f(pydantic.BaseModel):\n    x: int = pydantic.Field(ge=2, description='d')",
    ]
    keys = [key(made(text)) for text in texts]
    assert len(set(keys)) == len(texts)
    assert keys == [key(made(text)) for text in texts]


@dataclasses.dataclass
class Point:
    x: int
    rest: list[int] = dataclasses.field(default_factory=list)

    def moved(self) -> int:
        return self.x + 1


class Model(pydantic.BaseModel):
    x: Annotated[int, pydantic.Field(ge=1)]
    y: list[str] | None = None


class Color(enum.Enum):
    RED = 1


Pair = collections.namedtuple("Pair", "a b")

VALUES: list[Callable[[], Any]] = [
    lambda: Point(1),
    lambda: Point(1).moved,
    lambda: Model(x=1),
    lambda: Color.RED,
    lambda: Pair(1, 2),
    lambda: np.arange(4).reshape(2, 2),
    lambda: pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
    lambda: functools.partial(made(BASE), 1),
    lambda: functools.lru_cache(made(BASE)),
    lambda: [len, str.upper, np.sum, "".join, dict.fromkeys],
    lambda: [Optional[int], Literal["a"], list[int], int | None, Annotated[int, 3]],  # noqa: UP045 - both forms
    lambda: {1: 2, "a": {3, 4}, (5,): [range(3), slice(1, 2), 3 + 4j]},
]


@pytest.mark.parametrize("value", VALUES)
def test_values_of_all_sorts_have_a_content(value: Callable[[], Any]) -> None:
    """Made twice, they are the same."""
    assert key(value()) == key(value())


def test_values_that_differ_differ() -> None:
    """None of them is taken for another, nor for its like with another part."""
    others = [Point(2), Model(x=2), Pair(1, 3), np.arange(4), pd.DataFrame({"a": [1, 2], "b": ["x", "z"]})]
    keys = [key(value()) for value in VALUES] + [key(other) for other in others]
    assert len(set(keys)) == len(keys)


def test_what_holds_itself_comes_to_an_end() -> None:
    """A list in itself, a function that calls itself, two that call each other."""
    loop: list[Any] = [1]
    loop.append(loop)
    both = "def g(n): return f(n - 1) if n else 0\ndef f(n): return g(n)"
    assert len({key(loop), key(made("def f(n): return n * f(n - 1) if n else 1")), key(made(both))}) == 3


@pytest.mark.parametrize("value", [threading.Lock(), (one for one in [1]), sys.stderr, threading.main_thread()])
def test_what_has_no_content_that_stays_is_refused(value: Any) -> None:
    """Locks, generators and open files are no content, wherever they hide."""
    for hidden in (value, [value], {"a": value}, lambda: value):
        with pytest.raises(ValidationError, match="no content that stays"):
            key(hidden)


def test_contents_are_the_same_in_every_process() -> None:
    """Hashes of texts differ from process to process; contents do not."""
    program = (
        "from tests.unit.cache.test_content import *\n"
        "print(key([made(CELL, LIMIT={'a', 'b', 'c'}), Point, Model, Color, Model(x=1), Pair(1, 2), made(BASE)]))"
    )
    root = Path(__file__).parents[3]
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], cwd=root, env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True, text=True, timeout=60, check=True,
        )
        for seed in ("1", "2")
    ]  # fmt: skip
    assert runs[0].stdout == runs[1].stdout != ""
