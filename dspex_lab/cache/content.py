"""The content of values that are more than data: functions, classes, modules and their instances, as plain data.

A user's own code counts by what it does (its byte code, its defaults, and what its names mean now), so that a function
that is defined again differs exactly when it acts differently. Code of installed packages counts by its name and
version. Nothing here runs the user's code, except for what pickling asks of an object. Knows nothing of caches.
"""

from __future__ import annotations

import dis
import functools
import inspect
import pathlib
import sys
import sysconfig
import types
from collections.abc import Iterator, Mapping
from typing import Any

from dspex_lab.cache.key import content_key
from dspex_lab.errors import ValidationError

__all__ = ["content_of", "is_users_code"]

_SCALARS = (bool, int, float, str, bytes)
#: What a class holds for Python and pydantic, and what is made anew from the rest.
_NO_CONTENT = frozenset(
    {
        "__abstractmethods__", "__annotate_func__", "__annotations_cache__", "__class_vars__", "__dict__", "__doc__",
        "__firstlineno__", "__module__", "__private_attributes__", "__signature__", "__static_attributes__",
        "__weakref__", "_abc_impl",
    }
)  # fmt: skip
_METHODS_IN_C = (types.ClassMethodDescriptorType, types.MethodDescriptorType, types.WrapperDescriptorType)
#: What DSPy's modules and models write down of their past, and a random mark; none of it changes what they do.
_MEMORIES_OF_DSPY = frozenset({"history", "stage", "traces", "train"})
_OWN_PACKAGE = __name__.partition(".")[0]


def content_of(value: Any) -> Any:
    """``value`` as plain data for :func:`content_key`: equal for what acts and is equal, in every process.

    Raises ``ValidationError`` for what has no content that stays: locks, open files, connections.
    """
    try:
        return _Walk().content(value)
    except RecursionError:
        raise ValidationError("The content is nested too deeply for a key.", hint="Does it hold itself?") from None


def is_users_code(module_name: str | None) -> bool:
    """Whether a module is the user's own: the notebook, or a file beside it, and not an installed package."""
    if not module_name or module_name.partition(".")[0] == _OWN_PACKAGE:
        return False
    if module_name == "__main__":
        return True
    module = sys.modules.get(module_name)
    if module is None:  # made by the user, as ``types.ModuleType("mine")``, or gone
        return True
    file = getattr(module, "__file__", None)
    return file is not None and not _is_installed(file)


@functools.lru_cache(maxsize=1024)
def _is_installed(file: str) -> bool:
    path = pathlib.Path(file).resolve()
    return any(path.is_relative_to(folder) for folder in _installed_folders())


@functools.cache
def _installed_folders() -> tuple[pathlib.Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({pathlib.Path(path).resolve() for name in names if (path := sysconfig.get_path(name))})


class _Walk:
    """One way through a value. What was seen is kept by its identity, so that what holds itself comes to an end."""

    def __init__(self) -> None:
        self._done: dict[int, str] = {}
        self._under_way: dict[int, int] = {}
        self._kept: list[Any] = []

    def content(self, value: Any) -> Any:
        if value is None or type(value) in _SCALARS:
            return value
        number = id(value)
        if number in self._done:
            return ["is", self._done[number]]
        if number in self._under_way:
            return ["within", self._under_way[number]]
        self._under_way[number] = len(self._under_way)
        self._kept.append(value)  # its identity is its own only as long as it lives
        try:
            digest = content_key(self._parts(value))
        finally:
            del self._under_way[number]
        self._done[number] = digest
        return ["is", digest]

    def _parts(self, value: Any) -> list[Any]:  # noqa: C901 - one line for each sort of value
        if isinstance(value, list | tuple) and type(value) in (list, tuple):
            return ["list", *map(self.content, value)]
        if isinstance(value, types.MappingProxyType) or type(value) is dict:
            return ["map", *self._pairs(value.items())]
        if type(value) in (set, frozenset):
            return ["set", *sorted(content_key(self.content(one)) for one in value)]
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodType):
            return ["method", self.content(value.__func__), self.content(value.__self__)]
        if isinstance(value, staticmethod | classmethod):
            return [type(value).__name__, self.content(value.__func__)]
        if isinstance(value, property):
            return ["property", *map(self.content, (value.fget, value.fset, value.fdel))]
        if isinstance(value, types.CodeType):
            return self._code(value)
        if isinstance(value, types.ModuleType):
            return ["module", *_named(value.__name__, "")]
        if isinstance(value, types.GetSetDescriptorType | types.MemberDescriptorType):
            return ["slot", value.__name__]
        if isinstance(value, types.CellType):
            return ["cell", *self._cell(value)]
        if isinstance(value, types.UnionType):
            return ["union", *map(self.content, value.__args__)]
        if isinstance(value, type):
            return self._class(value)
        return self._object(value)

    def _function(self, function: types.FunctionType) -> list[Any]:
        if _is_found_by_name(function):
            return ["function", *_named(function.__module__, function.__qualname__)]
        code = function.__code__
        return [
            "function",
            self.content(code),
            self.content(function.__defaults__),
            self.content(function.__kwdefaults__),
            [self.content(cell) for cell in function.__closure__ or ()],
            self.content(vars(function)),
            *self._pairs(self._globals(code, function.__globals__)),
        ]

    def _globals(self, code: types.CodeType, around: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """What the code's global names mean; of a module of the user's own, what is used of it."""
        names, modules = _names_in(code)
        for name in sorted(names):
            if name in around:
                yield from self._meaning(name, around[name], code)
        for name in sorted(modules):
            if name in sys.modules:
                yield from self._meaning(name, sys.modules[name], code)

    def _meaning(self, name: str, value: Any, code: types.CodeType) -> Iterator[tuple[str, Any]]:
        yield name, value
        if isinstance(value, types.ModuleType) and is_users_code(value.__name__):
            used = _attributes_in(code)
            for attribute in sorted(used & vars(value).keys()):
                if vars(value)[attribute] is not value:
                    yield from self._meaning(f"{name}.{attribute}", vars(value)[attribute], code)

    def _code(self, code: types.CodeType) -> list[Any]:
        """What the code does; not where it stands, nor what its lines are."""
        counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
        names = [*code.co_varnames, "", *code.co_names, "", *code.co_freevars, "", *code.co_cellvars]
        exceptions = getattr(code, "co_exceptiontable", b"")
        return ["code", code.co_name, counts, names, code.co_code, exceptions, *map(self.content, code.co_consts)]

    def _cell(self, cell: types.CellType) -> list[Any]:
        try:
            return [self.content(cell.cell_contents)]
        except ValueError:  # empty still
            return []

    def _class(self, kind: type) -> list[Any]:
        if _is_found_by_name(kind):
            return ["class", *_named(kind.__module__, kind.__qualname__)]
        own = {
            name: value
            for name, value in vars(kind).items()
            if name not in _NO_CONTENT and not name.startswith("__pydantic")
        }
        if "__pydantic_fields__" in vars(kind):
            own["pydantic fields"] = vars(kind)["__pydantic_fields__"]
        own["__annotations__"] = inspect.get_annotations(kind)
        return ["class", kind.__qualname__, *map(self.content, kind.__bases__), *self._pairs(own.items())]

    def _object(self, value: Any) -> list[Any]:
        """Whatever can be pickled, by what pickle would write down of it."""
        if isinstance(value, types.BuiltinFunctionType) and isinstance(value.__self__, types.ModuleType | None):
            return ["function", *_named(value.__module__ or "", value.__qualname__)]
        if isinstance(
            value, types.WrapperDescriptorType | types.MethodDescriptorType | types.ClassMethodDescriptorType
        ):
            return ["function", *_named(value.__objclass__.__module__, value.__qualname__)]
        try:
            reduced = value.__reduce_ex__(4)
        except Exception as error:  # whatever a class says that cannot be pickled
            raise _no_content(value) from error
        if isinstance(reduced, str):
            return self._global(value, reduced)
        made, given, *rest = reduced
        state, items, pairs = [*rest, None, None, None][:3]
        if isinstance(state, dict) and any(kind.__module__.startswith("dspy.") for kind in type(value).__mro__):
            state = {name: part for name, part in state.items() if name not in _MEMORIES_OF_DSPY}
        return [
            "object",
            self.content(type(value)),
            self.content(made),
            [self.content(one) for one in given],
            self.content(state),
            [self.content(one) for one in items or ()],
            *self._pairs(pairs or ()),
        ]

    def _global(self, value: Any, name: str) -> list[Any]:
        """What pickle finds by its name: a special form of typing, a function behind ``lru_cache``."""
        if hasattr(value, "__wrapped__"):
            return ["wrapped", self.content(type(value)), self.content(value.__wrapped__)]
        module_name = str(getattr(value, "__module__", "") or "")
        if is_users_code(module_name) and is_users_code(type(value).__module__):
            raise _no_content(value)
        return ["global", *_named(module_name, name), *_named(type(value).__module__, type(value).__qualname__)]

    def _pairs(self, items: Any) -> list[Any]:
        pairs = [[content_key(self.content(key)), self.content(value)] for key, value in items]
        return sorted(pairs, key=lambda pair: str(pair[0]))


@functools.lru_cache(maxsize=512)
def _names_in(code: types.CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """The global names, and the modules imported inside, of ``code`` and all code within it."""
    names: set[str] = set()
    modules: set[str] = set()
    for one in _all_code(code):
        for instruction in dis.get_instructions(one):
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                names.add(str(instruction.argval))
            elif instruction.opname == "IMPORT_NAME":
                modules.add(str(instruction.argval))
    return frozenset(names), frozenset(modules)


@functools.lru_cache(maxsize=512)
def _attributes_in(code: types.CodeType) -> frozenset[str]:
    return frozenset(name for one in _all_code(code) for name in one.co_names)


def _all_code(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _all_code(constant)


def _is_found_by_name(value: Any) -> bool:
    """Whether an installed package has ``value`` under its own name. What one makes as it goes has no name there."""
    if is_users_code(value.__module__):
        return False
    found: Any = sys.modules.get(value.__module__)
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is value


def _named(module_name: str, name: str) -> list[Any]:
    """What is known by its name: that, and the version of its package."""
    package = sys.modules.get(module_name.partition(".")[0])
    version = vars(package).get("__version__") if package is not None else None
    return [module_name, name, version if isinstance(version, str) else ""]


def _no_content(value: Any) -> ValidationError:
    return ValidationError(
        f"A {type(value).__qualname__} has no content that stays.", hint="Pass what it is made of, or make it inside."
    )
