"""The user's classes that a plan knows: those that its signatures, annotations and functions name.

Values of these can be read back from the journal; a class is never looked for because stored data asked for it.
Imports nothing; a language model's settings, which hold a key, are no value.
"""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Callable, Iterable, Iterator
from types import CodeType
from typing import Any

import pydantic

from dspex_lab.calls import LmSpec
from dspex_lab.pipelines.plan.plan import Plan
from dspex_lab.pipelines.steps.step import Leaf, When
from dspex_lab.signatures import CompiledSignature, Serializable

__all__ = ["classes_of"]


def classes_of(plan: Plan) -> frozenset[type]:
    """Every class that a value of ``plan`` may be of, as far as it is named somewhere; those inside them too."""
    found: set[type] = set()
    for one in plan.steps:
        _collect_all((field.annotation for field in one.reads), found)
        _collect_all((field.annotation for field in one.writes), found)
        if isinstance(one.step, Leaf):
            _collect_leaf(one.step, found)
        elif isinstance(one.step, When):
            _collect_all(_named_by(one.step.condition), found)
    found.discard(LmSpec)
    return frozenset(found)


def _collect_leaf(leaf: Leaf, found: set[type]) -> None:
    operation = leaf.operation
    for signature in (operation.signature, operation.checked):
        if isinstance(signature, CompiledSignature):
            _collect_all(signature.signature.namespace.values(), found)
            _collect_all((one.annotation for one in signature.signature.fields), found)
    for function in (operation.function, *operation.tools):
        if function is not None:
            _collect_all(_named_by(function), found)


def _collect_all(annotations: Iterable[Any], found: set[type]) -> None:
    for annotation in annotations:
        _collect(annotation, found)


def _collect(annotation: Any, found: set[type]) -> None:
    """The classes in a type as it was written, however deep."""
    _collect_all(typing.get_args(annotation), found)
    if not isinstance(annotation, type) or annotation in found or not _has_form(annotation):
        return
    found.add(annotation)
    _collect_all(_annotations_inside(annotation), found)


def _has_form(kind: type) -> bool:
    return issubclass(kind, enum.Enum | pydantic.BaseModel | Serializable) or dataclasses.is_dataclass(kind)


def _annotations_inside(kind: type) -> list[Any]:
    if issubclass(kind, pydantic.BaseModel):
        return [one.annotation for one in kind.model_fields.values()]
    if not dataclasses.is_dataclass(kind):
        return []
    try:
        return list(typing.get_type_hints(kind).values())
    except (NameError, TypeError, AttributeError, SyntaxError):
        return []


def _named_by(function: Callable[..., Any]) -> Iterator[Any]:
    """The classes that the code of ``function`` names among its globals and its closure."""
    inner: Any = getattr(function, "function", function)
    inner = getattr(inner, "func", inner)
    inner = getattr(inner, "__func__", inner)
    code = getattr(inner, "__code__", None)
    if not isinstance(code, CodeType):
        return
    known: dict[str, Any] = getattr(inner, "__globals__", {})
    for name in _names(code):
        if isinstance(known.get(name), type):
            yield known[name]
    for cell in getattr(inner, "__closure__", None) or ():
        try:
            content = cell.cell_contents
        except ValueError:  # not filled yet
            continue
        if isinstance(content, type):
            yield content


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
