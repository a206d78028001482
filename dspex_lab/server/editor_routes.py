"""Routes that an editor asks while somebody types: what is wrong with a cell, what could stand at the cursor.

For notebooks whose kernel is busy or not there: cells are read, and nothing in them is executed.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from tornado import web

from dspex_lab.server.handler import ApiHandler, answers
from dspex_lab.server.notebook_templates import TEMPLATES, notebook_of

__all__ = ["CompleteHandler", "LintHandler", "TemplateHandler", "TemplatesHandler"]


class LintHandler(ApiHandler):
    """``POST lint {"cell": text, "others": [text]}``: a cell's faults; ``others`` are the notebook's other cells."""

    @answers
    async def post(self) -> dict[str, Any]:
        return {"diagnostics": await asyncio.to_thread(_lint, self.taken("cell", str), _texts(self))}


class CompleteHandler(ApiHandler):
    """``POST complete {"cell": text, "cursor": offset, "others": [text]}``: words that could stand at the cursor."""

    @answers
    async def post(self) -> dict[str, Any]:
        cell, cursor = self.taken("cell", str), self.taken("cursor", int)
        return await asyncio.to_thread(_complete, cell, cursor, _texts(self))


class TemplatesHandler(ApiHandler):
    """``GET templates``: what a new notebook may begin with."""

    @answers
    async def get(self) -> dict[str, Any]:
        return {"templates": [{"name": name, "title": one.title} for name, one in TEMPLATES.items()]}


class TemplateHandler(ApiHandler):
    """``GET templates/NAME``: a notebook."""

    @answers
    async def get(self, name: str) -> dict[str, Any]:
        if name not in TEMPLATES:
            raise web.HTTPError(HTTPStatus.NOT_FOUND, f"There is no template {name}.")
        return {"name": name, "content": notebook_of(TEMPLATES[name])}


def _texts(handler: ApiHandler) -> list[str]:
    others = handler.taken("others", list, [])
    if not all(isinstance(one, str) for one in others):
        raise web.HTTPError(HTTPStatus.BAD_REQUEST, "'others' is to be a list of texts.")
    return others


def _lint(cell: str, others: list[str]) -> list[dict[str, Any]]:
    # Imported when somebody types: a server that serves no such notebook needs none of it.
    from dspex_lab.server.cell_lint import lint_cell
    from dspex_lab.server.notebook_names import names_of

    return [asdict(one) for one in lint_cell(cell, names_of(others))]


def _complete(cell: str, cursor: int, others: list[str]) -> dict[str, Any]:
    from dspex_lab.magics.completion import complete
    from dspex_lab.server.notebook_names import names_of

    offer = complete(cell, max(0, min(cursor, len(cell))), names_of(others))
    return {"words": list(offer.words), "is_exclusive": offer.is_exclusive}
