"""The content key of a result: all that it depends on, so that none is ever served for another question.

The operation and its code, the signature with its types and constraints, the model with its sampling, demos and other
settings, the way and place, the inputs, and the versions. Knows nothing of caches.
"""

from __future__ import annotations

import functools
import importlib.metadata
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from dspex_lab.cache import content_key, content_of
from dspex_lab.calls import LmSpec
from dspex_lab.errors import ConfigurationError, ValidationError
from dspex_lab.router.cache_policy import CachePolicy
from dspex_lab.router.operation import Operation
from dspex_lab.router.strategies import Decision
from dspex_lab.signatures import CompiledSignature

__all__ = ["IdentifyModel", "ResultKeys", "check_cacheable", "local_mark"]

#: What tells apart two models of one name: for a local one, its file as it is now.
IdentifyModel = Callable[[LmSpec], Any]

#: What changes how an answer is had, not what it is.
_NOT_OF_THE_ANSWER = frozenset({"api_key", "timeout_s"})
_MAX_SIGNATURES = 256


def local_mark(lm: LmSpec, model_dir: Path | None) -> Any:
    """What tells a local model from another one that had its name before; None for what is not on this machine."""
    if not lm.is_local:
        return None
    from dspex_lab.worker.engines.local_models import local_model_mark

    return local_model_mark(lm.model, model_dir)


class ResultKeys:
    """Makes keys. What signatures say is worked out once for each."""

    def __init__(self, identify: IdentifyModel | None = None) -> None:
        self._identify = identify or (lambda lm: None)
        # By identity, with the signature kept alive: equal ones may hold classes that differ.
        self._signatures: OrderedDict[int, tuple[CompiledSignature, str]] = OrderedDict()

    def key(self, operation: Operation, inputs: Mapping[str, Any], lm: LmSpec, decision: Decision) -> str:
        """The key of what ``operation`` gives for ``inputs``. Raises ``ConfigurationError``, in the user's words, when
        something has no content that stays."""
        asks = operation.signature is not None
        parts = {
            "kind": operation.kind,
            "writes": operation.writes,
            "signature": self._signature(operation.signature),
            "checked": self._signature(operation.checked),
            "settings": _content(operation, "settings", operation.settings),
            "function": _content(operation, "function", operation.function),
            "tools": _content(operation, "tools", operation.tools),
            "module": _module(operation),
            "model": self._model(lm) if asks else None,
            "way": [decision.route.value, decision.target],
            "inputs": _content(operation, "inputs", dict(inputs)),
        }
        return content_key(parts, _versions())

    def _model(self, lm: LmSpec) -> list[Any]:
        figures = {one.name: getattr(lm, one.name) for one in fields(lm) if one.name not in _NOT_OF_THE_ANSWER}
        return [figures, self._identify(lm)]

    def _signature(self, signature: CompiledSignature | None) -> str | None:
        if signature is None:
            return None
        known = self._signatures.get(id(signature))
        if known is None:
            known = (signature, content_key(content_of(_signature_parts(signature))))
            self._signatures[id(signature)] = known
            while len(self._signatures) > _MAX_SIGNATURES:
                self._signatures.popitem(last=False)
        return known[1]

    def __repr__(self) -> str:
        return f"<ResultKeys [signatures: {len(self._signatures)}]>"


def check_cacheable(operation: Operation, policy: CachePolicy) -> None:
    """Raise ``ConfigurationError`` for an operation whose results may not be kept under ``policy``."""
    if (operation.tools or operation.kind == "react") and not policy.with_tools:
        raise ConfigurationError(
            f"{operation.name} has tools, and what they do would not be done for a result that was kept.",
            "cache",
            "CachePolicy(with_tools=True)",
            hint="If its tools only look things up, write cache=CachePolicy(with_tools=True).",
        )


def _signature_parts(signature: CompiledSignature) -> list[Any]:
    described = signature.signature
    return [
        described.name,
        described.text,
        described.form,
        described.instructions,
        [[one.name, one.annotation, one.description, one.default, one.constraints] for one in described.inputs],
        [[one.name, one.annotation, one.description, one.constraints] for one in described.outputs],
    ]


def _module(operation: Operation) -> Any:
    if isinstance(operation.module, str):
        raise ConfigurationError(
            f"What {operation.module} does is known in its worker only, so its results cannot be kept.",
            "cache",
            "a module, not its name",
            operation.module,
            hint="Pass the module itself: module(MyProgram(), cache=True).",
        )
    return _content(operation, "module", operation.module)


def _content(operation: Operation, what: str, value: Any) -> Any:
    try:
        return content_of(value)
    except ValidationError as error:
        raise ConfigurationError(
            f"The results of {operation.name} cannot be kept: its {what} cannot be told apart. {error.message}",
            "cache",
            "content that stays",
            hint=f"{error.hint or 'Make it of plain data.'} Or leave cache= out.",
        ) from error


@functools.cache
def _versions() -> tuple[str, ...]:
    """What may change the meaning of everything else."""
    names = ("dspex-lab", "dspy", "pydantic")
    return (sys.version.split()[0], *(_version(name) for name in names))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
