"""A ``%%pipeline`` cell: plain Python in which each top-level assignment of a step names it.

Reads and executes the user's own text in the user's own namespace, as a cell does; knows nothing of magics.
"""

from __future__ import annotations

import ast
import linecache
import traceback
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from types import CodeType
from typing import Any

from dspex_lab.errors import LabError, PipelineError, SignatureError
from dspex_lab.pipelines.batch import StartBatch
from dspex_lab.pipelines.launcher import StartRun
from dspex_lab.pipelines.plan.plan import PlanWarning
from dspex_lab.pipelines.program import Pipeline
from dspex_lab.pipelines.steps.constructors import CONSTRUCTORS
from dspex_lab.pipelines.steps.places import note_places, target_of
from dspex_lab.pipelines.steps.source import Source, StepPath, excerpt
from dspex_lab.pipelines.steps.step import Each, HasStep, Leaf, Nested, Parallel, Step, When, as_step

__all__ = ["compile_cell"]

#: The constructors that read signatures, and so need the user's classes.
_SIGNED = frozenset({"ask", "chain_of_thought", "module", "predict", "program_of_thought", "react"})


def compile_cell(
    text: str,
    *,
    namespace: Mapping[str, Any],
    start: StartRun,
    start_batch: StartBatch | None = None,
    name: str = "pipeline",
    line_offset: int = 0,
) -> Pipeline:
    """The pipeline of a cell's body. ``namespace`` is the user's; the step constructors are added to a copy of it.

    ``line_offset`` is how many lines stand above the body in its cell (the magic's own line), so that line numbers
    are those that the user sees. Raises ``PipelineError`` and ``SignatureError`` with the line, a caret and a hint.
    """
    shown = "\n" * line_offset + text
    file = f"<pipeline {name}>"
    tree = _parse(shown, file)
    linecache.cache[file] = (len(shown), None, shown.splitlines(keepends=True), file)
    scope = {**namespace, **_constructors(namespace)}
    steps: dict[str, Step] = {}
    places: dict[StepPath, tuple[int, int]] = {}
    warnings: list[PlanWarning] = []
    for statement in tree.body:
        target = target_of(statement)
        before = dict(scope) if target is None else {}
        _execute(statement, scope, file, shown)
        if target is None:
            warnings += _unnamed(statement, before, scope, shown)
            continue
        if not _is_step(scope[target]):
            continue
        if target in steps:
            raise PipelineError(
                f"There are two steps called {target}.",
                target,
                where=excerpt(shown, statement.lineno, statement.col_offset + 1),
                hint="Give one another name.",
            )
        steps[target] = as_step(scope[target], target)
        note_places(statement, (target,), places)
    if not steps:
        raise PipelineError(
            "The cell names no step.",
            hint='Assign one: answer = predict("question -> answer").',
        )
    source = Source(shown, places)
    return Pipeline(name, steps, start=start, start_batch=start_batch, source=source, warnings=warnings)


def _parse(shown: str, file: str) -> ast.Module:
    try:
        return ast.parse(shown, file)
    except SyntaxError as error:
        raise _not_python(error, shown) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise PipelineError(f"The cell is no Python: {error}.") from None


def _not_python(error: SyntaxError, shown: str) -> PipelineError:
    return PipelineError(
        f"The cell is no Python: {error.msg}.",
        where=excerpt(shown, error.lineno or 0, error.offset),
        hint="A step is an assignment: answer = predict(...).",
    )


def _constructors(namespace: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: partial(function, namespace=namespace) if name in _SIGNED else function
        for name, function in CONSTRUCTORS.items()
    }


def _is_step(value: Any) -> bool:
    return isinstance(value, Leaf | Parallel | Nested | When | Each | HasStep)


def _unnamed(
    statement: ast.stmt, before: Mapping[str, Any], scope: Mapping[str, Any], shown: str
) -> Iterator[PlanWarning]:
    """Steps that the statement makes, and that do not run: only what a plain assignment names does."""
    lost = [name for name, value in scope.items() if _is_step(value) and before.get(name) is not value]
    value = statement.value if isinstance(statement, ast.Expr) else None
    is_call = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in CONSTRUCTORS
    where = excerpt(shown, statement.lineno, statement.col_offset + 1)
    if is_call:
        yield PlanWarning("This step has no name, and does not run.", None, where, "Assign it: answer = predict(...).")
    for name in lost:
        yield PlanWarning(
            f"{name} is a step, but does not run: only what is assigned at the top of the cell does.",
            name,
            where,
            "Assign it in a line of its own, or use when(...).",
        )


def _execute(statement: ast.stmt, scope: dict[str, Any], file: str, shown: str) -> None:
    try:
        # Without dont_inherit this module's own __future__ would hold for the user's code.
        code: CodeType = compile(ast.Module([statement], []), file, "exec", dont_inherit=True)
        exec(code, scope)  # noqa: S102 - the user's own cell, as every cell
    except SyntaxError as error:
        raise _not_python(error, shown) from None
    except SignatureError as error:
        raise _moved(error, statement, shown) or _told(error, statement, file, shown) from None
    except Exception as error:
        raise _told(error, statement, file, shown) from error


def _moved(error: SignatureError, statement: ast.stmt, shown: str) -> SignatureError | None:
    """The error with the place of the signature's text in the cell, where that text stands in one line of it."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Constant) and node.value == error.signature and node.lineno == node.end_lineno:
            # One quote stands before the text; escapes would shift what follows, and nobody writes them here.
            column = node.col_offset + 1 + (error.column or 1)
            return SignatureError(error.message, shown, error.field, line=node.lineno, column=column, hint=error.hint)
    return None


def _told(error: Exception, statement: ast.stmt, file: str, shown: str) -> PipelineError:
    frames = [one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == file and one.lineno]
    step = target_of(statement)
    place = (frames[-1], None) if frames else (statement.lineno, statement.col_offset + 1)
    if isinstance(error, LabError):
        message, hint = error.message, error.hint
    else:
        message, hint = f"{type(error).__name__}: {error}", None
    if isinstance(error, NameError) and error.name:
        near = get_close_matches(error.name, (*CONSTRUCTORS, *_names(statement)), n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "Run the cell that defines it first."
    return PipelineError(
        message,
        step,
        where=excerpt(shown, *place),
        traceback="".join(traceback.format_exception(error)),
        hint=hint,
    )


def _names(statement: ast.stmt) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
