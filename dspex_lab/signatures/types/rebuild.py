"""Walks a type annotation and builds it again with some of its leaves replaced. Knows typing, and nothing of fields."""

from __future__ import annotations

import operator
import types
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

__all__ = ["allows_none", "annotate", "rebuild", "without_metadata"]


def rebuild(annotation: Any, replace: Callable[[Any], Any]) -> Any:
    """``annotation`` with ``replace`` done to each leaf (each part that has no type arguments of its own)."""
    origin = get_origin(annotation)
    if origin is None:
        return replace(annotation)
    if origin is Literal:
        return annotation
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        return annotate(rebuild(inner, replace), metadata)
    arguments = tuple(rebuild(part, replace) for part in get_args(annotation))
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if isinstance(annotation, types.GenericAlias):
        return types.GenericAlias(origin, arguments)
    return annotation.copy_with(arguments)


def without_metadata(annotation: Any) -> Any:
    """The type inside ``Annotated``, or the annotation itself."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def allows_none(annotation: Any) -> bool:
    """Whether None is a value of ``annotation``; Any does not count, for it says nothing."""
    if annotation is None or annotation is types.NoneType:
        return True
    origin = get_origin(annotation)
    if origin is Annotated:
        return allows_none(get_args(annotation)[0])
    return origin in (Union, types.UnionType) and any(allows_none(part) for part in get_args(annotation))


def annotate(inner: Any, metadata: Iterable[Any]) -> Any:
    """``Annotated[inner, *metadata]``."""
    # The brackets themselves are for metadata that a type checker can read.
    return operator.getitem(cast("Any", Annotated), (inner, *metadata))


def _union(arguments: tuple[Any, ...]) -> Any:
    return Union[arguments]  # noqa: UP007 (built at run time)
