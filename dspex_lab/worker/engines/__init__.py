"""Language-model engines: local, pooled, remote. They live on the services loop and know nothing of DSPy."""

from dspex_lab.worker.engines.base import Engine, OnText
from dspex_lab.worker.engines.local_models import BUNDLED_MODEL, find_local_model, known_local_models
from dspex_lab.worker.engines.pool import PoolEngine
from dspex_lab.worker.engines.router import EngineSet, close_engines, engine_kind, engines_of, install_engines

__all__ = [
    "BUNDLED_MODEL",
    "Engine",
    "EngineSet",
    "OnText",
    "PoolEngine",
    "close_engines",
    "engine_kind",
    "engines_of",
    "find_local_model",
    "install_engines",
    "known_local_models",
]
