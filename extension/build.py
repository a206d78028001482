"""Build the JupyterLab extension into ``extension/labextension``, unless what is there was built of the same sources.

``python extension/build.py`` builds; ``--link`` also shows the result to the JupyterLab of this Python, ``--optional``
makes a missing Node no failure. The wheel's build (``hatch_build.py``) uses the same functions.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["OUTPUT", "REQUIREMENTS", "build", "is_current", "main"]

HERE = Path(__file__).resolve().parent
OUTPUT = HERE / "labextension"
MODULES = HERE / "node_modules"
#: What a build asks of Python: ``jlpm``, which is a Yarn, and the builder.
REQUIREMENTS = ("jupyter-builder>=1.3,<2",)

_NAME = "dspex-lab"
_MARK = ".content"
_LOCK = ("package.json", "yarn.lock", ".yarnrc.yml")
_SOURCES = (*_LOCK, "tsconfig.json", "src", "style", "schema", "../dspex_lab/widgets/static")
#: What ``jupyter labextension list`` tells.
_INSTALL = {
    "packageManager": "python",
    "packageName": _NAME,
    "uninstallInstructions": f"Use your Python package manager (pip uninstall {_NAME}).",
}


class BuildError(Exception):
    """The extension cannot be built, and why."""


def is_current() -> bool:
    """Whether what is there was built of the sources that are there."""
    return _mark_of(OUTPUT) == _digest(_SOURCES)


def build() -> bool:
    """Have the extension built; False when nothing was to be done. Raises :class:`BuildError`."""
    digest = _digest(_SOURCES)
    if _mark_of(OUTPUT) == digest:
        return False
    install()
    _run(MODULES / ".bin" / "tsc")
    _run(*_python("jupyter_builder.main"), "build", ".")
    for stray in OUTPUT.rglob("*.orig"):
        stray.unlink()
    (OUTPUT / "install.json").write_text(json.dumps(_INSTALL, indent=2) + "\n")
    (OUTPUT / _MARK).write_text(digest)
    return True


def install() -> bool:
    """Have the packages of ``yarn.lock`` in ``node_modules``; False when they were there."""
    digest = _digest(_LOCK)
    if _mark_of(MODULES) == digest:
        return False
    if shutil.which("node") is None:
        raise BuildError("Node is missing: the JupyterLab extension cannot be built without it.")
    _run(*_python("jupyter_builder.jlpm"), "install", "--immutable")
    (MODULES / _MARK).write_text(digest)
    return True


def link(prefix: Path) -> None:
    """Have the JupyterLab under ``prefix`` load what was built, also after it is built anew."""
    place = prefix / "share" / "jupyter" / "labextensions" / _NAME
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        shutil.rmtree(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(OUTPUT)


def _python(module: str) -> tuple[str, ...]:
    """The command of a module, also where its script is not on the path (in the environment of a wheel's build)."""
    return sys.executable, "-c", f"from {module} import main; main()"


def _run(*command: str | Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own commands
        command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, command))} failed:\n{done.stdout[-5000:]}")


def _mark_of(folder: Path) -> str:
    try:
        return (folder / _MARK).read_text()
    except OSError:
        return ""


def _digest(names: Iterable[str]) -> str:
    """A digest of the files and folders, by their names and contents."""
    found = hashlib.sha256()
    for name in names:
        for path in _files(HERE / name):
            found.update(f"{path.relative_to(HERE.parent.resolve())}\0".encode())
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    resolved = path.resolve()
    yield from sorted(one for one in resolved.rglob("*") if one.is_file()) if resolved.is_dir() else (resolved,)


def main() -> int:
    """Exit status 0 when there is an extension in the end, or none is needed."""
    parser = argparse.ArgumentParser(description="Build the JupyterLab extension.")
    parser.add_argument("--link", action="store_true", help="show it to the JupyterLab of this Python")
    parser.add_argument("--optional", action="store_true", help="a missing Node is no failure")
    asked = parser.parse_args()
    if asked.optional and not is_current() and shutil.which("node") is None:
        sys.stderr.write("Node is missing: JupyterLab opens without the panels of DSPex Lab.\n")
        return 0
    try:
        build()
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if asked.link:
        link(Path(sys.prefix))
    return 0


if __name__ == "__main__":
    sys.exit(main())
