"""A worker's clean environment: what is allowed through, so that a notebook's secrets stay in the notebook."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["allowed_environment", "clean_environment"]

_ALLOWED = frozenset(
    {
        "HOME",
        "LANG",
        "LANGUAGE",
        "LOGNAME",
        "PATH",
        # Whether compiled files are written is the user's to say: without them DSPy takes half as long again to import.
        "PYTHONDONTWRITEBYTECODE",
        "TMPDIR",
        "TZ",
        "USER",
        "VIRTUAL_ENV",
    }
)
_ALLOWED_PREFIXES = ("LC_", "OPENBLAS_", "SSL_CERT_")


def allowed_environment(surroundings: Mapping[str, str]) -> dict[str, str]:
    """The part of ``surroundings`` that every program needs and that holds no secret."""
    return {
        name: value for name, value in surroundings.items() if name in _ALLOWED or name.startswith(_ALLOWED_PREFIXES)
    }


def clean_environment(surroundings: Mapping[str, str], additions: Mapping[str, str], *, scratch: str) -> dict[str, str]:
    """The allowed part of ``surroundings``, what the house sets, then the pool's own ``additions``.

    ``scratch`` is the worker's own folder: caches of libraries go there, and not into the user's home.
    """
    house = {
        "PYTHONUNBUFFERED": "1",
        "IPYTHONDIR": f"{scratch}/ipython",
        "DSPY_CACHEDIR": f"{scratch}/dspy",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        # One BLAS thread a worker: the pool is the parallelism.
        "OMP_NUM_THREADS": "1",
    }
    return allowed_environment(surroundings) | house | dict(additions)
