"""Every place where a call can run: each file has a ``host`` of its own, and its tests see every place in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from dspex_lab.backends.base import Backend
from dspex_lab.backends.inline import InlineBackend
from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.settings import Settings


@pytest.fixture(params=["inline", "kernels"])
async def backend(request: pytest.FixtureRequest, host: Settings) -> AsyncIterator[Backend]:
    """An open backend of each kind."""
    makers: dict[str, Callable[[], Backend]] = {"inline": InlineBackend, "kernels": lambda: KernelBackend(host)}
    made = makers[request.param]()
    await made.open()
    yield made
    await made.aclose()
