"""``Field(...)``: which options a field may have, and what they become.

The options are pydantic's; the sentence about them that a model is shown is DSPy's own.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pydantic
from pydantic.fields import FieldInfo
from pydantic_core import SchemaError, SchemaValidator, core_schema

from dspex_lab.errors.nearest import nearest

__all__ = [
    "FIELD_OPTIONS",
    "constraint_sentence",
    "field_info",
    "field_options_of",
    "misfit",
    "option_fault",
    "option_meant_by",
]

_SENTENCES: Mapping[str, str] = {
    "gt": "greater than: ",
    "ge": "greater than or equal to: ",
    "lt": "less than: ",
    "le": "less than or equal to: ",
    "min_length": "minimum length: ",
    "max_length": "maximum length: ",
    "multiple_of": "a multiple of the given number: ",
    "allow_inf_nan": "allow 'inf', '-inf', 'nan' values: ",
}
_NUMBER = (int, float)
#: Option -> what its value must be, and how that is called.
_OPTION_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "gt": (_NUMBER, "a number"),
    "ge": (_NUMBER, "a number"),
    "lt": (_NUMBER, "a number"),
    "le": (_NUMBER, "a number"),
    "multiple_of": (_NUMBER, "a number"),
    "min_length": ((int,), "a whole number"),
    "max_length": ((int,), "a whole number"),
    "max_digits": ((int,), "a whole number"),
    "decimal_places": ((int,), "a whole number"),
    "pattern": ((str,), "a string"),
    "allow_inf_nan": ((bool,), "True or False"),
    "strict": ((bool,), "True or False"),
    "title": ((str,), "a string"),
    "examples": ((list,), "a list"),
    "description": ((str,), "a string"),
    "desc": ((str,), "a string"),
    "default": ((object,), "a value"),
}

_RANGE = frozenset({"gt", "ge", "lt", "le", "multiple_of"})
_LENGTH = frozenset({"min_length", "max_length"})
_PAIRS = (("ge", "le"), ("gt", "lt"), ("gt", "le"), ("ge", "lt"), ("min_length", "max_length"))
#: Which options say something about a value of a type.
_TAKES: Mapping[Any, frozenset[str]] = {
    int: _RANGE,
    float: _RANGE | {"allow_inf_nan"},
    bool: frozenset(),
    str: _LENGTH | {"pattern"},
    bytes: _LENGTH,
    Literal: frozenset(),
    **dict.fromkeys((list, dict, set, frozenset, tuple), _LENGTH),
}
_GENERAL = frozenset({"strict", "title", "examples", "description", "desc", "default"})

#: What people write who know another library, and what it is called here.
_OTHER_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("gte", "min", "minimum"), "ge"),
    **dict.fromkeys(("lte", "max", "maximum"), "le"),
    **dict.fromkeys(("min_items", "minlen", "min_len"), "min_length"),
    **dict.fromkeys(("max_items", "maxlen", "max_len"), "max_length"),
    "regex": "pattern",
}

#: The names that ``Field(...)`` takes.
FIELD_OPTIONS: tuple[str, ...] = tuple(_OPTION_TYPES)
_NOT_FOR_PYDANTIC = frozenset({"desc", "description", "default"})


def option_fault(name: str, value: Any) -> str | None:
    """What is wrong with the option ``name=value``, or None."""
    if name not in _OPTION_TYPES:
        return f"`Field` has no option `{name}`."
    kinds, wanted = _OPTION_TYPES[name]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds and object not in kinds):
        return f"The option `{name}` wants {wanted}, not {value!r}."
    if name == "pattern" and not _is_pattern(value):
        return f"The pattern {value!r} is no regular expression that can be checked."
    if name in _LENGTH and isinstance(value, int) and value < 0:
        return f"The option `{name}` cannot be negative."
    return None


def option_meant_by(name: str) -> str | None:
    """The option that ``name``, which is none, most likely stands for."""
    return _OTHER_NAMES.get(name) or nearest(name, FIELD_OPTIONS)


def _is_pattern(value: Any) -> bool:
    try:
        SchemaValidator(core_schema.str_schema(pattern=value))
    except SchemaError:
        return False
    return True


def misfit(annotation: Any, options: Mapping[str, Any]) -> str | None:
    """Why ``options`` can never hold for ``annotation``, or None; types that are not in the table take any option."""
    for low, high in _PAIRS:
        if low in options and high in options and options[low] > options[high]:
            return f"Nothing is both {low}={options[low]} and {high}={options[high]}."
    kinds = _alternatives(annotation)
    for name in options:
        if name in _GENERAL or any(kind not in _TAKES or name in _TAKES[kind] for kind in kinds):
            continue
        return f"The option `{name}` says nothing about {' or '.join(sorted(kind.__name__ for kind in kinds))}."
    return None


def _alternatives(annotation: Any) -> set[Any]:
    """The classes that ``annotation`` may stand for; a Literal is its own kind."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return set().union(*map(_alternatives, get_args(annotation))) - {types.NoneType}
    return {origin or annotation}


def field_info(options: Mapping[str, Any]) -> FieldInfo | None:
    """The pydantic metadata for ``options``, or None when none of them constrains or describes a value."""
    kept = {name: value for name, value in options.items() if name not in _NOT_FOR_PYDANTIC}
    return pydantic.Field(**kept) if kept else None


def constraint_sentence(options: Mapping[str, Any]) -> str:
    """What DSPy tells a model about these options; "" when it tells nothing."""
    return ", ".join(f"{_SENTENCES[name]}{value}" for name, value in options.items() if name in _SENTENCES)


def field_options_of(info: FieldInfo) -> dict[str, Any]:
    """The inverse of :func:`field_info`: the options that a FieldInfo was made with, as far as they are ours."""
    return {
        name: value
        for name, value in info._attributes_set.items()  # noqa: SLF001 (pydantic keeps them nowhere else)
        if name in _OPTION_TYPES and name not in _NOT_FOR_PYDANTIC
    }
