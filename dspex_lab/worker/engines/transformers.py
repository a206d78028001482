"""Local models through transformers and torch: on the GPU that the pool gives its worker, else on the CPU.

Takes a folder as ``save_pretrained`` writes it, or a GGUF file, whose weights it unpacks. Everything around the decoder
is as in ``llamacpp``: loaded once, one thread for each slot, bounds on time, JSON under the request's schema.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from dspex_lab.errors import ModelError
from dspex_lab.worker.engines.generation import ModelServer
from dspex_lab.worker.engines.llamacpp import LlamaCppEngine
from dspex_lab.worker.engines.local_models import find_local_model

__all__ = ["TransformersEngine"]

_PACKAGES = ("torch", "transformers", "accelerate", "gguf", "llguidance")


class TransformersEngine(LlamaCppEngine):
    """Answers ``local/NAME``; at most ``slots`` answers of a model are decoded in one batch."""

    def __init__(self, *, model_dir: Path | None = None, slots: int = 8) -> None:
        super().__init__(model_dir=model_dir, slots=slots)

    def _find(self, model: str) -> Path:
        path = find_local_model(model, self._model_dir)
        missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
        if missing:
            raise ModelError(
                f"The engine 'transformers' needs {', '.join(missing)}, not installed.",
                model,
                hint="pip install 'dspex-lab[transformers]'",
            )
        return path

    def _load(self, path: Path) -> ModelServer:
        from dspex_lab.worker.engines.torch_server import TorchServer

        return TorchServer(path, slots=self._slots)
