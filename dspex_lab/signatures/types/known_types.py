"""The types that a signature may name without importing anything: the whole white list, and nothing else.

No name is ever imported or evaluated because a text asked for it.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import pathlib
import typing
import uuid
from collections.abc import Mapping
from types import MappingProxyType, NoneType
from typing import Any

import pydantic

__all__ = ["BUILTIN_TYPES", "GENERIC_ARITY", "KNOWN_MODULES", "KNOWN_TYPES"]

#: Python's own names, which no namespace overrides.
BUILTIN_TYPES: Mapping[str, Any] = MappingProxyType(
    {
        **{
            kind.__name__: kind
            for kind in (str, int, float, bool, list, dict, tuple, set, frozenset, bytes, bytearray, complex)
        },
        "None": NoneType,
    }
)

_TYPING_NAMES = [
    "Annotated",
    "Any",
    "Callable",
    "Collection",
    "Counter",
    "DefaultDict",
    "Deque",
    "Dict",
    "FrozenSet",
    "Iterable",
    "List",
    "Literal",
    "Mapping",
    "MutableMapping",
    "MutableSequence",
    "MutableSet",
    "Optional",
    "OrderedDict",
    "Sequence",
    "Set",
    "Text",
    "Tuple",
    "Union",
]
_TYPING: dict[str, Any] = {name: getattr(typing, name) for name in _TYPING_NAMES}
_DATETIME: dict[str, Any] = {
    kind.__name__: kind for kind in (datetime.date, datetime.datetime, datetime.time, datetime.timedelta)
}
_PYDANTIC_NAMES = [
    "AnyUrl",
    "AwareDatetime",
    "BaseModel",
    "FutureDate",
    "HttpUrl",
    "Json",
    "NaiveDatetime",
    "NegativeFloat",
    "NegativeInt",
    "NonNegativeFloat",
    "NonNegativeInt",
    "NonPositiveFloat",
    "NonPositiveInt",
    "PastDate",
    "PositiveFloat",
    "PositiveInt",
    "StrictBool",
    "StrictFloat",
    "StrictInt",
    "StrictStr",
    "UUID4",
]

#: Names that stand for a type unless the user's namespace has a type of that name.
KNOWN_TYPES: Mapping[str, Any] = MappingProxyType(
    {
        **_TYPING,
        **_DATETIME,
        "Decimal": decimal.Decimal,
        "Fraction": fractions.Fraction,
        "NoneType": NoneType,
        "Path": pathlib.Path,
        "UUID": uuid.UUID,
    }
)

#: Modules whose types may be named with a dot, whether or not they were imported.
KNOWN_MODULES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "datetime": _DATETIME,
        "decimal": {"Decimal": decimal.Decimal},
        "fractions": {"Fraction": fractions.Fraction},
        "pathlib": {"Path": pathlib.Path},
        "pydantic": {name: getattr(pydantic, name) for name in _PYDANTIC_NAMES},
        "typing": _TYPING,
        "uuid": {"UUID": uuid.UUID},
    }
)

#: How many arguments the generics take that a reader could get wrong.
GENERIC_ARITY: Mapping[Any, int] = MappingProxyType(
    {
        **dict.fromkeys((list, set, frozenset, typing.List, typing.Set, typing.FrozenSet), 1),  # noqa: UP006 - users'
        **dict.fromkeys((typing.Sequence, typing.Iterable, typing.Collection, typing.MutableSequence), 1),
        **dict.fromkeys((typing.MutableSet, typing.Deque, typing.Counter, typing.Optional), 1),  # noqa: UP006 - users'
        **dict.fromkeys((dict, typing.Dict, typing.DefaultDict, typing.OrderedDict), 2),  # noqa: UP006 - users'
        **dict.fromkeys((typing.Mapping, typing.MutableMapping), 2),
    }
)
