"""Operations about the worker itself."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

import psutil

from dspex_lab.worker.context import OpContext
from dspex_lab.worker.ops.base import operation

__all__ = ["echo", "info"]

_PACKAGES = ("dspex-lab", "dspy", "xllamacpp", "litellm", "pyzmq")


@operation("system.echo", runs_on="services")
async def echo(context: OpContext, *, value: Any = None) -> Any:
    """``value``, as it came: what a call costs when it does nothing."""
    return value


@operation("system.info", runs_on="services")
async def info(context: OpContext) -> dict[str, Any]:
    """The worker's process id, versions, and memory in bytes."""
    process = psutil.Process()
    return {
        "pid": os.getpid(),
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
        "rss_bytes": process.memory_info().rss,
        "threads": process.num_threads(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
