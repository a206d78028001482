"""Real hosts for tests that break them, each in a runtime folder of its own and ended with all that came of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.settings import Settings
from dspex_lab.testing.site import Site


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.end()


@pytest.fixture(scope="module")
def shared_site() -> Iterator[Site]:
    """One host for the tests of a file that leave it alive."""
    made = Site()
    yield made
    made.end()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[Settings], KernelBackend]]:
    """Makes backends, and closes them."""
    made: list[KernelBackend] = []

    def make(settings: Settings) -> KernelBackend:
        made.append(KernelBackend(settings))
        return made[-1]

    yield make
    for backend in made:
        await backend.aclose()
