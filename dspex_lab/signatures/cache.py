"""``compile_signature``, and the one cache behind it.

A text is looked up by its content and name, and by the identity of what its names meant then: a class that is defined
again in a notebook makes a new compiled signature, and a cached one costs about a microsecond.
"""

from __future__ import annotations

import threading
import types
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from dspex_lab.errors import SignatureError
from dspex_lab.signatures.bridge import from_dspy, is_dspy_signature
from dspex_lab.signatures.compiled import CompiledSignature, SignatureSource
from dspex_lab.signatures.grammar.grammar import parse_signature
from dspex_lab.signatures.types.field import MISSING, Signature

__all__ = ["CompileCache", "compile_signature"]

_Meanings = tuple[tuple[str, Any], ...]
_EMPTY: Mapping[str, Any] = types.MappingProxyType({})
_DEFAULT_NAME = "Signature"


class CompileCache:
    """At most ``max_entries`` texts, each with the few meanings that its names had lately."""

    _MAX_MEANINGS = 4

    def __init__(self, *, max_entries: int = 512) -> None:
        self._entries: OrderedDict[tuple[str, str], list[tuple[_Meanings, CompiledSignature]]] = OrderedDict()
        self._max_entries = max_entries
        self._lock = threading.Lock()

    def compile(self, text: str, name: str, namespace: Mapping[str, Any]) -> CompiledSignature:
        """The compiled signature of ``text``, from the cache when its names still mean the same."""
        for meanings, compiled in self._entries.get((text, name), ()):
            if all(namespace.get(root, MISSING) is value for root, value in meanings):
                return compiled
        compiled = _compiled(parse_signature(text, name=name, namespace=namespace))
        self._keep(text, name, namespace, compiled)
        return compiled

    def _keep(self, text: str, name: str, namespace: Mapping[str, Any], compiled: CompiledSignature) -> None:
        signature = compiled.signature
        meanings = tuple((root, namespace.get(root, MISSING)) for root in sorted(signature.name_roots))
        if any(isinstance(value, types.ModuleType) for value in signature.namespace.values()):
            return  # a module can be reloaded, and then holds other classes
        with self._lock:
            known = [entry for entry in self._entries.pop((text, name), []) if entry[0] != meanings]
            self._entries[text, name] = [(meanings, compiled), *known[: self._MAX_MEANINGS - 1]]
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def __repr__(self) -> str:
        return f"<CompileCache {len(self._entries)}/{self._max_entries}>"


_CACHE = CompileCache()


def compile_signature(
    source: Any, *, name: str | None = None, namespace: Mapping[str, Any] | None = None
) -> CompiledSignature:
    """The compiled form of ``source``: a text, a Signature, a SignatureSource, a compiled one, or DSPy's own class.

    ``namespace`` holds the user's classes that a text may name. Raises SignatureError.
    """
    if isinstance(source, str):
        return _CACHE.compile(source, name or _DEFAULT_NAME, _EMPTY if namespace is None else namespace)
    if isinstance(source, CompiledSignature):
        return source
    if isinstance(source, Signature):
        return _compiled(source)
    if isinstance(source, SignatureSource):
        return _CACHE.compile(source.text, source.name, source.namespace)
    if is_dspy_signature(source):
        return CompiledSignature(from_dspy(source), dspy_class=source)
    raise SignatureError(
        f"A signature is a text or a dspy.Signature class, not {type(source).__name__}.",
        hint='Write it as "question -> answer".',
    )


def _compiled(signature: Signature) -> CompiledSignature:
    """Compiles; what could fail later (options that do not fit a type, a wrong default) fails now."""
    compiled = CompiledSignature(signature)
    if signature.namespace or any(item.has_default for item in signature.inputs):
        compiled.validator.check()
    return compiled
