"""Which statements of a ``%%pipeline`` cell name a step, and where it and the steps inside it stand.

Pure, on parsed source: for whoever runs a cell, and for whoever only reads it.
"""

from __future__ import annotations

import ast

from dspex_lab.pipelines.steps.source import StepPath

__all__ = ["note_places", "target_of"]


def target_of(statement: ast.stmt) -> str | None:
    """The name that a plain assignment gives, if it is one: what it assigns is a step by that name."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        return target.id if isinstance(target, ast.Name) else None
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value is not None:
        return statement.target.id
    return None


def note_places(statement: ast.stmt, path: StepPath, places: dict[StepPath, tuple[int, int]]) -> None:
    """Note in ``places`` where the step at ``path`` stands, and the steps inside it by the keywords that name them:
    lines and columns from 1, the latter in bytes as Python's parser has them."""
    places[path] = (statement.lineno, statement.col_offset + 1)
    value = getattr(statement, "value", None)
    if isinstance(value, ast.Call):
        _note_keywords(value, path, places)


def _note_keywords(call: ast.Call, path: StepPath, places: dict[StepPath, tuple[int, int]]) -> None:
    for keyword in call.keywords:
        if keyword.arg is not None and isinstance(keyword.value, ast.Call):
            inner = (*path, keyword.arg)
            places[inner] = (keyword.lineno, keyword.col_offset + 1)
            _note_keywords(keyword.value, inner, places)
