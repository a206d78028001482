"""The Binder demo: its files say what the house understands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BINDER = Path(__file__).parents[2] / "binder"


def test_its_start_gives_settings_that_can_be_used() -> None:
    """The pools that Binder's start script sets are read, and none asks for more than the machine has."""
    total = "sum(pool.max_memory_mb * pool.size for pool in Settings.create().pools)"
    code = f"from dspex_lab.settings import Settings; print({total})"
    command = [str(BINDER / "start"), sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert 0 < int(done.stdout) <= 2048


def test_its_scripts_can_be_run() -> None:
    """Binder runs both scripts as programs."""
    assert [name for name in ("postBuild", "start") if not os.access(BINDER / name, os.X_OK)] == []
