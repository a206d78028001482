"""The build of the JupyterLab extension: once for each content, and of the same version as the package."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

import dspex_lab

ROOT = Path(__file__).parents[2]
SOURCES = ("package.json", "yarn.lock", ".yarnrc.yml", "tsconfig.json", "src", "style", "schema", "build.py")


@pytest.fixture
def build(tmp_path: Path) -> ModuleType:
    """The build script over a copy of the sources, which has nothing built yet."""
    for name in SOURCES:
        source, target = ROOT / "extension" / name, tmp_path / "extension" / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    shared = Path("dspex_lab", "widgets", "static")
    shutil.copytree(ROOT / shared, tmp_path / shared)
    spec = importlib.util.spec_from_file_location("extension_build", tmp_path / "extension" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pretend_built(build: ModuleType) -> None:
    build.OUTPUT.mkdir()
    (build.OUTPUT / ".content").write_text(build._digest(build._SOURCES))


def test_the_version_is_the_packages() -> None:
    """JupyterLab shows the one, Python the other."""
    told = json.loads((ROOT / "extension" / "package.json").read_text())
    assert told["version"] == dspex_lab.__version__


def test_what_is_built_of_these_sources_is_not_built_again(build: ModuleType) -> None:
    """Neither Node nor a network is asked for."""
    assert not build.is_current()
    pretend_built(build)
    assert build.is_current()
    assert build.build() is False


@pytest.mark.parametrize(
    "name", ["extension/src/index.ts", "extension/yarn.lock", "dspex_lab/widgets/static/run_view.js"]
)
def test_other_sources_are_built_anew(build: ModuleType, tmp_path: Path, name: str) -> None:
    """The shared modules count too; a file that is touched and stays the same does not."""
    pretend_built(build)
    file = tmp_path / name
    file.touch()
    assert build.is_current()
    file.write_text(file.read_text() + "\n")
    assert not build.is_current()


def test_a_link_follows_what_is_built(build: ModuleType, tmp_path: Path) -> None:
    """It takes the place of an installed copy and of an older link."""
    pretend_built(build)
    place = tmp_path / "env" / "share" / "jupyter" / "labextensions" / "dspex-lab"
    place.mkdir(parents=True)
    for _ in range(2):
        build.link(tmp_path / "env")
        assert place.resolve() == build.OUTPUT
