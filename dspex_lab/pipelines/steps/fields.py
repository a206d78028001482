"""What a step reads and writes, by field name, and whether one type can flow into another.

Values and pure functions only; who resolves them is ``plan``.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from dspex_lab.signatures import CompiledSignature

__all__ = ["Read", "Write", "can_flow", "type_text"]


@dataclass(frozen=True, slots=True)
class Read:
    """A field that ``step`` takes ("": the one that it stands at). Not ``is_required``: there is a default where nobody
    gives one.

    ``signature`` can validate the value; None where only a function's annotation is known.
    """

    name: str
    annotation: Any = Any
    is_required: bool = True
    step: str = ""
    signature: CompiledSignature | None = None

    def by(self, step: str) -> Read:
        """The same with the step that takes it, where none is named yet."""
        return self if self.step else Read(self.name, self.annotation, self.is_required, step, self.signature)


@dataclass(frozen=True, slots=True)
class Write:
    """A field that a step gives. ``overwrites``: it may have been there before. Not ``is_certain``: a branch that is
    not taken leaves None, or what was there before."""

    name: str
    annotation: Any = Any
    overwrites: bool = False
    is_certain: bool = True


#: What pydantic turns into what without loss, beside a type into itself.
_WIDENINGS: Mapping[type, tuple[type, ...]] = {int: (float, complex), bool: (int, float), float: (complex,)}


def can_flow(source: Any, target: Any) -> bool:
    """Whether a value of type ``source`` may fit ``target``. False only when no value ever can: what is not
    understood is let through, and the value itself is checked when it is there."""
    source, target = _bare(source), _bare(target)
    if _is_open(source) or _is_open(target):
        return True
    if _is_union(source):
        return any(can_flow(member, target) for member in get_args(source))
    if _is_union(target):
        return any(can_flow(source, member) for member in get_args(target))
    if get_origin(source) is Literal:
        return any(_value_fits(value, target) for value in get_args(source))
    if get_origin(target) is Literal:
        return any(can_flow(source, type(value)) for value in get_args(target))
    return _class_flows(source, target)


def type_text(annotation: Any) -> str:
    """The type as people write it."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("NoneType", "None")


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return type(None) if annotation is None else annotation


def _is_open(annotation: Any) -> bool:
    return annotation is Any or annotation is object or isinstance(annotation, str | TypeVar)


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _value_fits(value: Any, target: Any) -> bool:
    if get_origin(target) is Literal:
        return value in get_args(target)
    return can_flow(type(value), target)


def _class_flows(source: Any, target: Any) -> bool:
    one, other = get_origin(source) or source, get_origin(target) or target
    if not (isinstance(one, type) and isinstance(other, type)):
        return True
    if one not in _PLAIN or other not in _PLAIN:
        # A user's class, an enum or a model may be made from plain data; two classes that are not kin never are.
        return one in _PLAIN or other in _PLAIN or issubclass(one, other) or issubclass(other, one)
    if one is not other:
        return other in _WIDENINGS.get(one, ()) or {one, other} <= {list, tuple, set, frozenset}
    pairs = zip(get_args(source), get_args(target), strict=False)
    return all(can_flow(inner, wanted) for inner, wanted in pairs if inner is not ... and wanted is not ...)


_PLAIN = frozenset({str, int, float, bool, complex, bytes, list, tuple, set, frozenset, dict, type(None)})
