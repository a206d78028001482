"""A stage for each test, and one whose batches are written down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dspex_lab.pipelines import BatchStarter, BatchStore
from dspex_lab.portal import Portal
from dspex_lab.testing.stage import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Portal() as portal:
        yield Stage(portal)


@pytest.fixture
def kept_stage(stage: Stage, tmp_path: Path) -> Iterator[Stage]:
    stage.batches = BatchStarter(stage.portal, stage.router, BatchStore(tmp_path / "journal.sqlite"))
    yield stage
    stage.batches.close()
