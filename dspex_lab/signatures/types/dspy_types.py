"""DSPy's own field types by name, without DSPy: stand-ins, until a worker that has DSPy needs the real ones.

A stand-in takes any value (the real type checks it in the worker); :func:`real_annotation` puts the real types back.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar, get_args, get_origin

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from dspex_lab.signatures.types.rebuild import rebuild

__all__ = [
    "DSPY_TYPE_NAMES",
    "DspyType",
    "contains_dspy_type",
    "dspy_type",
    "is_left_to_dspy",
    "real_annotation",
    "stand_in_for",
]

#: The field types that DSPy 3.4 offers under ``dspy.``.
DSPY_TYPE_NAMES: tuple[str, ...] = (
    "Audio",
    "Code",
    "File",
    "History",
    "Image",
    "Reasoning",
    "Tool",
    "ToolCallResults",
    "ToolCalls",
    "Type",
)
_TEXT_LIKE = frozenset({"Code", "Reasoning"})


class DspyType:
    """The base of all stand-ins. ``dspy_name`` is the name below ``dspy.``; ``parameter`` the language of a Code."""

    dspy_name: ClassVar[str] = ""
    parameter: ClassVar[str | None] = None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.any_schema()

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string"} if cls.dspy_name in _TEXT_LIKE else {}


@lru_cache(maxsize=256)
def dspy_type(name: str, parameter: str | None = None) -> type[DspyType]:
    """The one stand-in for ``dspy.NAME`` (or ``dspy.NAME[parameter]``)."""
    shown = f"dspy.{name}" if parameter is None else f'dspy.{name}["{parameter}"]'
    return type(name, (DspyType,), {"dspy_name": name, "parameter": parameter, "__qualname__": shown})


def stand_in_for(value: Any) -> Any:
    """The stand-in for a real DSPy type that the user's namespace holds; anything else as it is."""
    if isinstance(value, type) and value.__module__.startswith("dspy.") and value.__name__ in DSPY_TYPE_NAMES:
        return dspy_type(value.__name__)
    return value


def contains_dspy_type(annotation: Any) -> bool:
    """Whether a stand-in is anywhere inside ``annotation``."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return issubclass(annotation, DspyType)
    return any(contains_dspy_type(part) for part in get_args(annotation))


def is_left_to_dspy(annotation: Any) -> bool:
    """Whether a class of DSPy's, a stand-in or a subclass of one is anywhere inside ``annotation``."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return any(base is DspyType or base.__module__.startswith("dspy.") for base in annotation.__mro__)
    return any(is_left_to_dspy(part) for part in get_args(annotation))


def real_annotation(annotation: Any) -> Any:
    """``annotation`` with DSPy's real types in place of the stand-ins. Imports DSPy if there is one to replace."""
    return rebuild(annotation, _real) if contains_dspy_type(annotation) else annotation


def _real(leaf: Any) -> Any:
    if not (isinstance(leaf, type) and issubclass(leaf, DspyType)):
        return leaf
    import dspy

    found = getattr(dspy, leaf.dspy_name)
    return found if leaf.parameter is None else found[leaf.parameter]
