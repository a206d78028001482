"""Operations about the worker itself: an echo, and what it is."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from typing import Any

import psutil

from dspex_lab.worker.context import OpContext
from dspex_lab.worker.ops.base import operation

__all__ = ["echo", "info"]


@operation("system.echo", runs_on="services")
async def echo(_context: OpContext, value: Any = None) -> Any:
    """``value`` as it came: what a trivial call costs."""
    return value


@operation("system.info", runs_on="services")
async def info(_context: OpContext) -> dict[str, Any]:
    """The worker's process: pid, versions, resident memory in bytes."""
    return {
        "pid": os.getpid(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "dspex_lab": version("dspex-lab"),
        "dspy": version("dspy"),
        "rss_bytes": psutil.Process().memory_info().rss,
    }
