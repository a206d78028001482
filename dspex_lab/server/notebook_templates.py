"""What a new notebook may begin with. Each runs from its first cell to its last as it is, with the bundled model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

__all__ = ["TEMPLATES", "NotebookTemplate", "notebook_of"]


@dataclass(frozen=True, slots=True)
class NotebookTemplate:
    """A title, and cells in the percent format: a line ``# %%`` begins one, ``# %% [markdown]`` one of text."""

    title: str
    text: str


_SIGNATURE = NotebookTemplate(
    "Ask a model in a typed signature",
    '''# %% [markdown]
# A typed signature

What goes in stands above the arrow, what comes out below it.
# %%
%load_ext dspex_lab
import dspex_lab as lab
# %%
%%signature Triage
"""Route a support ticket to the right team."""
ticket: str                                    # the customer's words
->
category: Literal["billing", "bug", "feature"]
urgency: Annotated[int, Field(ge=1, le=5)]     # 5 is drop everything
# %%
triage = lab.predict(Triage)
triage(ticket="I was charged twice for my order.")
''',
)
_PIPELINE = NotebookTemplate(
    "Steps in a pipeline, with a live panel",
    """# %% [markdown]
# A pipeline

Each assignment is a step; steps that do not need one another run at the same time.
# %%
%load_ext dspex_lab
# %%
%%pipeline support --run ticket="I was charged twice for my order."
both = parallel(
    summary = predict("ticket -> summary", stream=True),
    mood    = predict("ticket -> mood: Literal['calm', 'angry']"),
)
reply = predict("ticket, mood -> reply", stream=True)
# %%
support.last_run.result()
""",
)
_BATCH = NotebookTemplate(
    "Many rows through a pipeline",
    """# %% [markdown]
# A batch

Every row is a run of its own; what fails is told by its row, and the rest goes on.
# %%
%load_ext dspex_lab
import pandas as pd
# %%
%%pipeline moods
mood = predict("review -> mood: Literal['happy', 'unhappy']")
# %%
reviews = pd.DataFrame({"review": ["I love it.", "It broke on the first day.", "Fine for the price."]})
moods.map(reviews)
""",
)

#: The templates by the names that the routes know.
TEMPLATES: Mapping[str, NotebookTemplate] = MappingProxyType(
    {"signature": _SIGNATURE, "pipeline": _PIPELINE, "batch": _BATCH}
)
_BORDER = re.compile(r"^# %%( \[markdown\])?\n", re.MULTILINE)


def notebook_of(template: NotebookTemplate) -> dict[str, Any]:
    """The template as a notebook of Jupyter's format 4.5, for a Python kernel."""
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    cells = list(_cells(template.text))
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": cells}


def _cells(text: str) -> Iterator[dict[str, Any]]:
    _, *parts = _BORDER.split(text)
    for number, (mark, source) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
        made: dict[str, Any] = {"id": f"cell-{number}", "metadata": {}, "source": source.strip("\n")}
        code: dict[str, Any] = {"cell_type": "code", "execution_count": None, "outputs": []}
        yield made | ({"cell_type": "markdown"} if mark else code)
