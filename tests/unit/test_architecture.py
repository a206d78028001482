"""The walls of the house, checked: public names, sizes, what an import loads, and what no file may say."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "dspex_lab"
MAX_LINES = 400
#: Names that Python and Jupyter ask for by name.
HOOKS = ("__version__", "_jupyter_", "_load_jupyter_")
#: The names of the public API that are modules, and meant as such.
MODULES_IN_THE_API = {"metrics"}
#: Files that are no text.
BINARY_SUFFIXES = {".gif", ".gz", ".ico", ".jpg", ".pdf", ".png", ".whl", ".woff2", ".zip"}
#: Built from parts, so that this file does not say them itself.
REGISTRIES = re.compile(
    "|".join(
        re.escape(".".join(parts))
        for parts in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("npmjs", "org"),
            ("npmjs", "com"),
            ("yarnpkg", "com"),
            ("conda", "anaconda", "org"),
            ("crates", "io"),
        )
    )
    + "|--(?:extra-)?index-"
    + "url|--find-"
    + "links"
)


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _tracked_files() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=30
    )
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)
MODULES = [_module_name(path) for path in SOURCES if path.name != "__main__.py"]
#: Rooms have an ``__init__`` that may hold a docstring only; every other module says what is public.
TREES = {path: ast.parse(path.read_text()) for path in SOURCES}


def _has_public_names(path: Path) -> bool:
    """Whether a module has to say what is public: a bare room and a ``__main__`` have nothing to offer."""
    is_bare = all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in TREES[path].body)
    return path.name != "__main__.py" and not is_bare


def _assigned_names(tree: ast.Module) -> dict[str, ast.expr]:
    """The names that a module binds at its top, with their values; what is annotated as read-only is left out."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation).startswith(("Mapping", "Final")):
            continue
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update((one.id, node.value) for one in targets if isinstance(one, ast.Name))
    return found


def _defined_names(tree: ast.Module) -> set[str]:
    definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, definitions)}


# --- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_all_names_what_is_there(name: str) -> None:
    """Each name in ``__all__`` exists, none is private, and none is named twice."""
    module = importlib.import_module(name)
    names = list(getattr(module, "__all__", []))
    assert len(names) == len(set(names))
    assert [one for one in names if not hasattr(module, one)] == []
    assert [one for one in names if one.startswith("_") and not one.startswith(HOOKS)] == []


@pytest.mark.parametrize("path", [path for path in SOURCES if _has_public_names(path)], ids=_module_name)
def test_all_leaves_nothing_public_out(path: Path) -> None:
    """Every class and function whose name is public is in its module's ``__all__``."""
    listed = getattr(importlib.import_module(_module_name(path)), "__all__", None)
    assert listed is not None, "no __all__"
    assert {name for name in _defined_names(TREES[path]) if not name.startswith("_")} - set(listed) == set()


def test_no_room_bears_the_name_of_a_public_function() -> None:
    """A submodule would shadow the function: ``lab.pipeline`` cannot be both."""
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    public = set(getattr(importlib.import_module("dspex_lab"), "__all__", ()))
    assert rooms & public <= MODULES_IN_THE_API


# --- size and shape -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [path for path in _tracked_files() if path.suffix in {".py", ".js", ".ts", ".tsx", ".css"}],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_file_is_too_long(path: Path) -> None:
    """400 lines are the end; such a file holds two nouns."""
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", SOURCES, ids=_module_name)
def test_every_module_says_its_place(path: Path) -> None:
    """A module begins with a docstring."""
    assert ast.get_docstring(TREES[path])


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name != "lab.py"], ids=_module_name)
def test_state_lives_in_the_composition_root(path: Path) -> None:
    """No module but ``lab`` rebinds a global, or keeps an open list under a public name."""
    tree = TREES[path]
    rebinding = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Global)]
    assert rebinding == [], f"global statements at lines {rebinding}"
    mutable = (ast.List, ast.ListComp, ast.SetComp, ast.DictComp)
    public = [name for name, value in _assigned_names(tree).items() if name[0] != "_" and isinstance(value, mutable)]
    assert public == []


def test_no_room_is_a_drawer() -> None:
    """No file is called by what it is not: utils, helpers, common, core, manager."""
    drawers = {"utils", "util", "helpers", "helper", "common", "core", "manager", "misc"}
    assert [path for path in SOURCES if path.stem in drawers or path.parent.name in drawers] == []


# --- what an import loads -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("dspex_lab", ("dspy", "litellm", "ipywidgets", "anywidget", "pandas", "xllamacpp", "ray", "torch")),
        ("dspex_lab.signatures", ("dspy", "litellm", "ipywidgets", "pandas")),
        ("dspex_lab.pool", ("dspy", "litellm", "ipywidgets", "dspex_lab.worker", "pandas")),
        ("dspex_lab.worker", ("ipywidgets", "anywidget", "dspex_lab.widgets", "dspex_lab.magics")),
    ],
)
def test_an_import_loads_no_more_than_it_may(module: str, forbidden: tuple[str, ...]) -> None:
    """Importing a room loads nothing heavy that it promised not to load."""
    code = f"import sys, {module}; print(sorted(set({forbidden!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


# --- what no file may say -----------------------------------------------------------------------------------------


def test_no_file_names_a_package_registry() -> None:
    """Where packages come from is the user's business: no address of a registry is in any file."""
    named = [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for path in _tracked_files()
        if path.suffix not in BINARY_SUFFIXES and (found := REGISTRIES.search(path.read_text(errors="replace")))
    ]
    assert named == []
