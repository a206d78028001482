"""A stage for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dspex_lab.portal import Portal
from dspex_lab.testing.stage import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Portal() as portal:
        yield Stage(portal)
