"""Looks names up: Python's own types, the white list, the user's namespace, and ``dspy.*`` by name.

The namespace is an argument; nothing is imported, evaluated or peeked at, and no user code runs.
"""

from __future__ import annotations

import ast
import enum
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, get_origin

from dspex_lab.errors.nearest import nearest
from dspex_lab.signatures.types.assumed import Assumed
from dspex_lab.signatures.types.dspy_types import DSPY_TYPE_NAMES, dspy_type, stand_in_for
from dspex_lab.signatures.types.field import MISSING
from dspex_lab.signatures.types.known_types import BUILTIN_TYPES, KNOWN_MODULES, KNOWN_TYPES

__all__ = ["Fault", "NameTable", "is_type"]

_DSPY_NAMES = frozenset(DSPY_TYPE_NAMES)
#: Names of other languages and habits, and what they are called here.
_FOREIGN = {
    "string": "str",
    "text": "str",
    "integer": "int",
    "number": "float",
    "double": "float",
    "boolean": "bool",
    "array": "list",
    "object": "Any",
    "any": "Any",
    "enum": "Literal",
    "null": "None",
    "nil": "None",
    "map": "dict",
}


class Fault(Exception):
    """What is wrong with an expression, and at which of its nodes; ``grammar`` makes a SignatureError of it."""

    def __init__(self, message: str, node: ast.AST, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.node = node
        self.hint = hint


def is_type(value: Any) -> bool:
    """Whether ``value`` can stand in an annotation."""
    return isinstance(value, type | types.UnionType | typing.NewType) or get_origin(value) is not None or value is Any


class NameTable:
    """The names that one signature may use. Remembers which it asked the namespace for, and what it got."""

    def __init__(self, namespace: Mapping[str, Any] | None) -> None:
        self._namespace: Mapping[str, Any] = {} if namespace is None else namespace
        self.roots: set[str] = set()
        self.used: dict[str, Any] = {}

    def resolve(self, node: ast.Name | ast.Attribute) -> Any:
        """The type, or enum member, that a plain or dotted name stands for; :class:`Fault` when there is none."""
        path, root = _dotted(node)
        if root.id in BUILTIN_TYPES and not path:
            return BUILTIN_TYPES[root.id]
        self.roots.add(root.id)
        if path and root.id == "dspy" and path[0].attr in _DSPY_NAMES:
            return self._follow(dspy_type(path[0].attr), path[1:])
        found = self._namespace.get(root.id, MISSING)
        if is_type(found) or (path and isinstance(found, types.ModuleType)):
            self.used[root.id] = found
            return stand_in_for(self._follow(found, path))
        if not path and root.id in KNOWN_TYPES:
            return KNOWN_TYPES[root.id]
        if path and root.id in KNOWN_MODULES:
            return self._follow(self._in_module(root.id, path[0]), path[1:])
        if path and root.id in KNOWN_TYPES:
            return self._follow(KNOWN_TYPES[root.id], path)
        if root.id in BUILTIN_TYPES:
            return self._follow(BUILTIN_TYPES[root.id], path)
        if found is not MISSING:
            raise Fault(f"`{root.id}` is {_article(type(found).__name__)}, not a type.", root)
        if path and root.id == "dspy":
            hint = _did_you_mean(nearest(path[0].attr, DSPY_TYPE_NAMES))
            raise Fault(f"`dspy.{path[0].attr}` is no type of DSPy's.", path[0], hint)
        raise self._unknown(root, is_dotted=bool(path))

    def _in_module(self, module: str, node: ast.Attribute) -> Any:
        known = KNOWN_MODULES[module]
        if node.attr not in known:
            raise Fault(f"`{module}.{node.attr}` is not a known type.", node, _did_you_mean(nearest(node.attr, known)))
        return known[node.attr]

    def _follow(self, value: Any, path: list[ast.Attribute]) -> Any:
        for node in path:
            if value is Assumed:
                return Assumed
            if isinstance(value, types.ModuleType):
                value = _module_member(value, node)
            elif isinstance(value, enum.EnumMeta) and node.attr in value.__members__:
                value = value.__members__[node.attr]
            elif isinstance(value, type):
                value = _class_member(value, node)
            else:
                raise Fault(f"`{node.attr}` cannot be looked up here.", node)
        return value

    def _unknown(self, node: ast.Name, *, is_dotted: bool) -> Fault:
        if is_dotted:
            hint = _did_you_mean(nearest(node.id, self._modules()))
            return Fault(f"Unknown module `{node.id}`.", node, hint or "Import it in the notebook first.")
        if node.id in _DSPY_NAMES:
            return Fault(f"Unknown type `{node.id}`.", node, _did_you_mean(f"dspy.{node.id}"))
        guess = _FOREIGN.get(node.id.lower()) or nearest(node.id, self._types())
        hint = _did_you_mean(guess) or "Define the class in the notebook before this cell, or use a type such as `str`."
        return Fault(f"Unknown type `{node.id}`.", node, hint)

    def _types(self) -> Iterator[str]:
        yield from BUILTIN_TYPES
        yield from KNOWN_TYPES
        yield from (name for name, value in self._namespace.items() if is_type(value))

    def _modules(self) -> Iterator[str]:
        yield from KNOWN_MODULES
        yield "dspy"
        yield from (name for name, value in self._namespace.items() if isinstance(value, types.ModuleType))


def _dotted(node: ast.Name | ast.Attribute) -> tuple[list[ast.Attribute], ast.Name]:
    path: list[ast.Attribute] = []
    current: ast.expr = node
    while isinstance(current, ast.Attribute):
        path.append(current)
        current = current.value
    if not isinstance(current, ast.Name):
        raise Fault("A type is a name, a dotted name, or one of these with arguments in square brackets.", current)
    return path[::-1], current


def _module_member(module: types.ModuleType, node: ast.Attribute) -> Any:
    if node.attr in vars(module):
        return vars(module)[node.attr]
    try:
        return getattr(module, node.attr)  # a lazy module finds its names in __getattr__
    except Exception:
        names = (name for name, value in list(vars(module).items()) if is_type(value))
        raise Fault(
            f"`{module.__name__}` has no `{node.attr}`.", node, _did_you_mean(nearest(node.attr, names))
        ) from None


def _class_member(cls: type, node: ast.Attribute) -> Any:
    for base in cls.__mro__:
        if node.attr in vars(base):
            return vars(base)[node.attr]
    known = getattr(cls, "__members__", {}) if isinstance(cls, enum.EnumMeta) else vars(cls)
    raise Fault(f"`{cls.__name__}` has no `{node.attr}`.", node, _did_you_mean(nearest(node.attr, known)))


def _did_you_mean(guess: str | None) -> str | None:
    return f"Did you mean `{guess}`?" if guess else None


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
