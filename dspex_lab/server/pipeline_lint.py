"""What is wrong with a ``%%pipeline`` cell, as far as its text alone says: nothing in it is executed. Pure."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from dspex_lab.errors import PipelineError
from dspex_lab.magics.completion import options_of
from dspex_lab.magics.pipeline_line import PipelineLine, parse_line
from dspex_lab.pipelines.steps.constructors import CONSTRUCTORS
from dspex_lab.server.finding import Finding
from dspex_lab.server.notebook_names import NotebookNames
from dspex_lab.server.pipeline_fields import lint_fields
from dspex_lab.signatures import lint

__all__ = ["lint_pipeline"]

#: The constructors whose first argument is a signature, and may be a text.
_SIGNED = frozenset({"chain_of_thought", "predict", "program_of_thought", "react"})
#: Those whose keywords are the names of steps.
_GROUPS = frozenset({"parallel", "when", "each"})
_STEP_GROUPS = frozenset({"parallel"})


def lint_pipeline(line: str, start: int, body: str, names: NotebookNames) -> Iterator[Finding]:
    """``line`` is what follows ``%%pipeline``, at offset ``start`` of the cell's first line; ``body`` is the rest."""
    asked = PipelineLine("pipeline")
    try:
        asked = parse_line(line)
    except PipelineError as error:
        yield Finding(1, start + _caret(error.where, start), error.message, error.hint or "")
    shown = f"\n{body}"
    try:
        tree = ast.parse(shown)
    except SyntaxError as error:
        yield Finding(error.lineno or 1, (error.offset or 1) - 1, f"This is no Python: {error.msg}.")
        return
    except (ValueError, RecursionError, MemoryError) as error:
        yield Finding(2, 0, f"This is no Python: {error}.")
        return
    lines = shown.split("\n")
    yield from _Reader(lines, names).findings(tree)
    for one in lint_fields(tree, names, asked):
        column = start + one.start if one.line == 1 else _characters(lines[one.line - 1], one.start)
        yield replace(one, start=column)


def _caret(where: str, start: int) -> int:
    """The offset behind ``%%pipeline `` that an excerpt's caret points at."""
    excerpt, _, caret = where.partition("\n")
    return max(0, len(caret) - 1 - (excerpt.find(": ") + 2) - start) if caret else 0


class _Reader:
    def __init__(self, lines: list[str], names: NotebookNames) -> None:
        self._lines = lines
        self._names = names
        self._steps: set[str] = set()

    def findings(self, tree: ast.Module) -> Iterator[Finding]:
        own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        own |= {
            (one.asname or one.name).partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for one in node.names
        }
        self._known = own
        for statement in tree.body:
            yield from self._statement(statement)

    def _statement(self, statement: ast.stmt) -> Iterator[Finding]:
        value = getattr(statement, "value", None)
        if not isinstance(value, ast.Call) or _constructor(value) is None:
            return
        if isinstance(statement, ast.Expr):
            hint = "Assign it: answer = predict(...)."
            yield self._at(value.func, "This step has no name, and does not run.", hint, severity="warning")
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            target = statement.targets[0]
            if target.id in self._steps:
                yield self._at(target, f"There are two steps called {target.id}.", "Give one another name.")
            self._steps.add(target.id)
        yield from self._call(value)

    def _call(self, call: ast.Call) -> Iterator[Finding]:
        name = _constructor(call)
        if name is None:
            return
        if name in _SIGNED and call.args:
            yield from self._signature(call.args[0])
        for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
            yield from self._argument(argument)
        if name in _STEP_GROUPS:
            return
        allowed = options_of(name)
        for keyword in call.keywords:
            if keyword.arg is not None and keyword.arg not in (*allowed, "namespace"):
                near = get_close_matches(keyword.arg, allowed, n=1)
                hint = f"Did you mean {near[0]}?" if near else f"It takes {', '.join(allowed)}."
                yield self._at(keyword, f"{name} has no option {keyword.arg!r}.", hint, width=len(keyword.arg))

    def _argument(self, node: ast.expr) -> Iterator[Finding]:
        match node:
            case ast.Call():
                yield from self._call(node)
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                for part in parts:
                    yield from self._argument(part)
            case ast.Name(id=name) if not self._is_known(name):
                near = get_close_matches(name, (*self._names, *self._known), n=1)
                hint = f"Did you mean {near[0]}?" if near else "Define it in a cell, and run that one first."
                yield self._at(node, f"No cell of this notebook defines {name!r}.", hint, severity="warning")

    def _signature(self, node: ast.expr) -> Iterator[Finding]:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or node.lineno != node.end_lineno:
            return
        start = self._offset(node.lineno, node.col_offset)
        # One quote stands before the text; with escapes, or another prefix, only its beginning is known.
        end = self._offset(node.lineno, node.end_col_offset or node.col_offset)
        is_plain = self._lines[node.lineno - 1][start + 1 : end - 1] == node.value
        for error in lint(node.value, namespace=self._names):
            column = (error.column or 1) if is_plain else 0
            yield Finding(node.lineno, start + column, error.message, error.hint or "")

    def _is_known(self, name: str) -> bool:
        known = name in self._names or name in self._known or self._names.is_open
        return known or name in CONSTRUCTORS or hasattr(builtins, name)

    def _at(self, node: ast.AST, message: str, hint: str, *, width: int = 0, **more: Any) -> Finding:
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        start = self._offset(line, column)
        return Finding(line, start, message, hint, end=start + width if width else None, **more)

    def _offset(self, line: int, column: int) -> int:
        return _characters(self._lines[line - 1], column)


def _characters(text: str, column: int) -> int:
    """Characters of ``text`` for the bytes that Python's parser counts in."""
    return len(text.encode()[:column].decode(errors="replace"))


def _constructor(call: ast.Call) -> str | None:
    return call.func.id if isinstance(call.func, ast.Name) and call.func.id in CONSTRUCTORS else None
