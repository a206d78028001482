"""Logs of workers: their last words, and no more than so many of them."""

from __future__ import annotations

import os
from pathlib import Path

from dspex_lab.pool.processes.logs import forget_old_logs, tail


def test_the_latest_ends_are_kept(tmp_path: Path) -> None:
    """The oldest logs go; those of the living stay, however old."""
    for age, name in enumerate(["general-4", "general-3", "general-2", "zygote", "general-1"]):
        file = tmp_path / f"{name}.log"
        file.write_text(name)
        os.utime(file, (1000 - age, 1000 - age))
    forget_old_logs(tmp_path, {"zygote", "general-1"}, kept=2)
    assert {path.stem for path in tmp_path.iterdir()} == {"general-4", "general-3", "zygote", "general-1"}


def test_a_folder_that_is_gone_is_no_fault(tmp_path: Path) -> None:
    """The host's folder may be removed under it."""
    forget_old_logs(tmp_path / "gone", set())


def test_only_the_end_of_a_log_is_told(tmp_path: Path) -> None:
    """However long it is; one that is not there is empty."""
    file = tmp_path / "general-1.log"
    file.write_text("x" * 50_000 + "last words")
    assert tail(file).endswith("last words")
    assert len(tail(file)) <= 20_000
    assert tail(tmp_path / "none.log") == ""
