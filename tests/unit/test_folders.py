"""Folders go whatever is in them: depth, rights, names and links are no way to stay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dspex_lab.folders import remove_tree

NEST = "import os, sys\nfor _ in range(int(sys.argv[1])):\n    os.mkdir('d')\n    os.chdir('d')\nopen('f', 'w').close()"


def test_no_depth_keeps_a_folder(tmp_path: Path) -> None:
    """Deeper than the stack, than the longest path and than the number of open files."""
    folder = tmp_path / "deep"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", NEST, "2500"], cwd=folder, check=True, timeout=60)
    remove_tree(folder)
    assert not folder.exists()


def test_no_rights_keep_a_folder(tmp_path: Path) -> None:
    """What was made without the right to look into it, or to write there, goes with the rest."""
    inner = tmp_path / "top" / "closed" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    for folder in (inner, *inner.parents[:2]):
        folder.chmod(0)
    remove_tree(tmp_path / "top")
    assert not (tmp_path / "top").exists()


def test_a_wide_tree_goes(tmp_path: Path) -> None:
    """Many folders, each with files and folders of the same names."""
    for number in range(20):
        for name in ("a", "b"):
            (tmp_path / "top" / str(number) / name / "d").mkdir(parents=True)
            (tmp_path / "top" / str(number) / name / "f").touch()
    remove_tree(tmp_path / "top")
    assert not (tmp_path / "top").exists()


def test_links_are_not_followed(tmp_path: Path) -> None:
    """What a link names stays, with its rights; also where the folder itself is one."""
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o755)
    (kept / "file").touch()
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "link").symlink_to(kept)
    (tmp_path / "link").symlink_to(kept)
    remove_tree(tmp_path / "top")
    remove_tree(tmp_path / "link")
    assert not (tmp_path / "top").exists()
    assert [path.name for path in kept.iterdir()] == ["file"]
    assert kept.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("kind", ["nothing", "file"])
def test_what_is_no_folder_is_left(tmp_path: Path, kind: str) -> None:
    """No error: a folder that is gone was what was wanted."""
    if kind == "file":
        (tmp_path / kind).touch()
    remove_tree(tmp_path / kind)
    assert (tmp_path / kind).exists() == (kind == "file")
