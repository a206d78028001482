"""The error tree: one root, one class for each thing that a caller can do about it.

Every error carries a ``hint`` (what to try next) and ``retryable`` (whether the same call may succeed later),
and survives the wire: :meth:`LabError.to_dict` and :func:`error_from_dict` are inverse.
This room imports nothing of the house.
"""

from __future__ import annotations

from dspex_lab.errors.calls import (
    BudgetExceeded,
    Cancelled,
    CircuitOpen,
    DeadlineExceeded,
    HostUnavailable,
    ModelError,
    PipelineError,
    PoolSaturated,
    ProtocolError,
    PythonError,
    SessionLost,
    WorkerLost,
    WorkerMemoryExceeded,
)
from dspex_lab.errors.reading import error_from_dict
from dspex_lab.errors.root import LabError
from dspex_lab.errors.written import ConfigurationError, SignatureError, TemplateError, ValidationError

__all__ = [
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
    "error_from_dict",
]
