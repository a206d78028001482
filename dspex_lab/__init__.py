"""DSPex Lab: DSPy programs in Jupyter, on a background pool of kernels.

A lazy list of names: importing this loads neither DSPy nor widgets.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

#: Where each public name lives.
_HOMES: dict[str, tuple[str, ...]] = {
    "dspex_lab.programs": (
        "ask",
        "chain_of_thought",
        "each",
        "module",
        "native",
        "on",
        "parallel",
        "pipeline",
        "predict",
        "program_of_thought",
        "react",
        "run",
        "run_pipeline",
        "runs",
        "session",
        "signature",
        "statistics",
        "template",
        "traces",
        "validate",
        "when",
    ),
    "dspex_lab.widgets": ("Form", "form", "show_metrics", "show_pools", "show_trace", "trace"),
    "dspex_lab.signatures": (
        "CompiledSignature",
        "Serializable",
        "compile_signature",
        "from_wire",
        "register_wire_type",
        "to_wire",
    ),
    "dspex_lab.templates": ("TemplateLimits", "compile_template", "render_template"),
    "dspex_lab.lab": ("Lab", "current_lab", "use_lab"),
    "dspex_lab.sessions": ("Session",),
    "dspex_lab.settings": ("PoolSpec", "Settings"),
    "dspex_lab.router": ("Budget", "CachePolicy", "RetryPolicy"),
    "dspex_lab.pipelines": ("Batch", "PastRun", "Pipeline", "Program", "Question", "Run", "RunResult"),
    "dspex_lab.calls": ("Call", "Chunk", "LmSpec", "Result", "Usage"),
    "dspex_lab.errors": (
        "BudgetExceeded",
        "Cancelled",
        "CircuitOpen",
        "ConfigurationError",
        "DeadlineExceeded",
        "HostUnavailable",
        "LabError",
        "ModelError",
        "PipelineError",
        "PoolSaturated",
        "ProtocolError",
        "PythonError",
        "SessionLost",
        "SignatureError",
        "TemplateError",
        "ValidationError",
        "WorkerLost",
        "WorkerMemoryExceeded",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", "load_ipython_extension", "metrics", "unload_ipython_extension"]
__all__ += sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return importlib.import_module("dspex_lab.metrics")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: Any) -> None:
    """Called by ``%load_ext dspex_lab``."""
    from dspex_lab.magics.extension import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Called by ``%unload_ext dspex_lab``."""
    from dspex_lab.magics.extension import unload

    unload(shell)
