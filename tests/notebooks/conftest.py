"""Real kernels for tests that look at what a cell shows, and the host that those of one file share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from dspex_lab.testing.notebook import Notebook
from dspex_lab.testing.site import Site

__all__ = ["notebook_site", "open_notebook"]


@pytest.fixture(scope="module")
def notebook_site() -> Iterator[Site]:
    """A runtime folder for the notebooks of one file, and the host that they share."""
    site = Site()
    yield site
    site.end()


@pytest.fixture(scope="module")
def open_notebook(notebook_site: Site) -> Iterator[Callable[..., Notebook]]:
    """Opens notebooks, ``open_notebook(NAME=value)`` with variables of the environment, and closes them."""
    opened: list[Notebook] = []

    def make(**environment: str) -> Notebook:
        made = Notebook(notebook_site.folder / f"k{len(opened)}", notebook_site.folder, **environment)
        opened.append(made)
        made.open()
        return made

    yield make
    for one in opened:
        one.close()
