"""Every place where a call can run: each file has a ``host`` of its own, and its tests see every place in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from dspex_lab.backends.base import Backend
from dspex_lab.backends.inline import InlineBackend
from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.settings import Settings
from dspex_lab.testing.openai_server import OpenAiServer
from dspex_lab.testing.site import Site


@pytest.fixture(params=["inline", "kernels"])
async def backend(request: pytest.FixtureRequest, host: Settings) -> AsyncIterator[Backend]:
    """An open backend of each kind."""
    makers: dict[str, Callable[[], Backend]] = {"inline": InlineBackend, "kernels": lambda: KernelBackend(host)}
    made = makers[request.param]()
    await made.open()
    yield made
    await made.aclose()


@pytest.fixture(scope="module")  # so that it is there before any test looks for leaks
def site() -> Iterator[Site]:
    """A place for hosts of a file's own."""
    made = Site()
    yield made
    made.end()


@pytest.fixture
def server() -> Iterator[OpenAiServer]:
    """A model that says what it is told to."""
    with OpenAiServer() as made:
        yield made
