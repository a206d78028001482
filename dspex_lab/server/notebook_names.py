"""What the cells of a notebook define, read off their sources: parsed, never executed.

What a name stands for is kept where its source says it plainly, and is :class:`Assumed` otherwise: whoever checks a
cell against these names must not complain of what only a kernel could know.
"""

from __future__ import annotations

import ast
import enum
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from dspex_lab.errors import LabError
from dspex_lab.server.stand_ins import stand_in
from dspex_lab.signatures import Assumed, compile_signature

__all__ = ["NotebookNames", "is_python", "names_of"]

_SIGNATURE = re.compile(r"%%signature[ \t]*(\w*)[^\n]*\n(.*)", re.DOTALL)
_PIPELINE = re.compile(r"%%pipeline[ \t]+(\w+)")
#: Cells of these magics are Python all the same.
_PYTHON_MAGIC = re.compile(r"%%(?:time|timeit|capture|prun)\b[^\n]*\n")
_LINE_MAGIC = re.compile(r"^(\s*)(?:[%!?].*|.*\?\s*)$", re.MULTILINE)
#: What a cell that is being written, and is no Python yet, most likely defines.
_PLAINLY = re.compile(r"^(?:(?:async +)?(class|def) +)?([^\W\d]\w*)(?: *[(:]| *=(?!=))", re.MULTILINE)
_IMPORTED = re.compile(r"^from +[\w.]+ +import +([\w, ]+)|^import +(\w+)", re.MULTILINE)
#: Under this name a type checker does not ask for a class whose name it can read.
_MAKE_ENUM: Any = enum.Enum


class NotebookNames(dict[str, Any]):
    """Names with what they stand for; with :attr:`is_open` any other name may be there too."""

    is_open = False

    def __init__(self) -> None:
        super().__init__()
        self._times: Counter[str] = Counter()

    def get(self, name: str, default: Any = None) -> Any:
        """As a dict's; an open one has every name."""
        return super().get(name, Assumed if self.is_open else default)

    def bind(self, name: str, value: Any) -> None:
        """Let ``name`` stand for ``value`` from now on."""
        self[name] = value
        self._times[name] += 1

    def settled(self, name: str) -> Any:
        """What ``name`` stands for wherever it is there at all: bound once, in one place; else :class:`Assumed`."""
        return self[name] if self._times[name] == 1 and not self.is_open else Assumed


def names_of(sources: Iterable[str]) -> NotebookNames:
    """What ``sources`` (of cells, in their order) define."""
    names = NotebookNames()
    signatures: list[tuple[str, str]] = []
    for source in sources:
        if (signature := _SIGNATURE.match(source)) is not None:
            signatures.append((signature[1] or "Signature", signature[2]))
        elif (pipeline := _PIPELINE.match(source)) is not None:
            names.bind(pipeline[1], Assumed)
        elif is_python(source):
            _read(_PYTHON_MAGIC.sub("", source, count=1), names)
    for name, text in signatures:  # last: they may name classes
        try:
            names.bind(name, compile_signature(f"\n{text}", name=name, namespace=names))
        except LabError:
            names.bind(name, Assumed)
    return names


def is_python(source: str) -> bool:
    """Whether a cell's source is Python, as far as its first line says."""
    return not source.startswith("%%") or _PYTHON_MAGIC.match(source) is not None


def _read(source: str, names: NotebookNames) -> None:
    text = _LINE_MAGIC.sub(r"\1pass", source)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        for found in _PLAINLY.finditer(text):
            names.bind(found[2], Assumed)
        for found in _IMPORTED.finditer(text):
            for name in (found[1] or found[2]).split(","):
                if name.strip():
                    names.bind(name.split()[-1], Assumed)
        return
    for name, value in _bound(tree.body):
        if name == "*":
            names.is_open = True
        else:
            names.bind(name, value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):  # what functions bind when they are called
            for name in node.names:
                names.bind(name, Assumed)


def _bound(body: Iterable[ast.stmt]) -> Iterator[tuple[str, Any]]:
    """Each name that the statements bind at the top of their cell, and what it stands for; ``*``: any name at all."""
    for statement in body:
        match statement:
            case ast.Import(names=imported):
                yield from (((one.asname or one.name.partition(".")[0]), Assumed) for one in imported)
            case ast.ImportFrom(names=imported):
                yield from ((one.asname or one.name, Assumed) for one in imported)
            case ast.ClassDef(name=name):
                yield name, _class(statement)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, stand_in(statement) or _function
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)):
                yield name, value
            case _:
                yield from _targets(statement)
                for part in ("body", "orelse", "finalbody"):
                    yield from _bound(getattr(statement, part, ()))
                for handler in getattr(statement, "handlers", ()):
                    yield from _bound(handler.body)


def _targets(statement: ast.stmt) -> Iterator[tuple[str, Any]]:
    """What a statement that is no definition binds, but for the statements inside it."""
    inside = {"body", "orelse", "finalbody", "handlers"}
    for field, value in ast.iter_fields(statement):
        if field in inside:
            continue
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, ast.AST):
                yield from _stored(part)


def _stored(node: ast.AST) -> Iterator[tuple[str, Any]]:
    if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id, Assumed
    for child in ast.iter_child_nodes(node):
        yield from _stored(child)


def _function(*_: Any, **__: Any) -> None:
    """Stands for a function of the notebook's whose parameters are not known."""


def _enum(name: str, members: Iterable[str]) -> Any:
    try:
        return _MAKE_ENUM(name, list(members))
    except ValueError:  # a member called mro, and the like
        return Assumed


def _class(statement: ast.ClassDef) -> Any:
    """An enum with its members where the class plainly is one; else whatever a class may be."""
    bases = {ast.unparse(base).rpartition(".")[2] for base in statement.bases}
    if bases & {"Enum", "StrEnum", "IntEnum", "Flag", "IntFlag"}:
        members = [
            target.id
            for one in statement.body
            if isinstance(one, ast.Assign)
            for target in one.targets
            if isinstance(target, ast.Name) and not target.id.startswith("_")
        ]
        return _enum(statement.name, dict.fromkeys(members))
    return Assumed
