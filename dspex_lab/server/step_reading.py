"""The steps of a ``%%pipeline`` cell, made by their own constructors of what its text says literally.

Nothing of the cell is executed. What its text does not say, or not for certain, is :class:`Unclear`.
"""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from dspex_lab.errors import LabError, SignatureError
from dspex_lab.pipelines.steps.constructors import CONSTRUCTORS, StepOptions
from dspex_lab.pipelines.steps.places import target_of
from dspex_lab.pipelines.steps.step import Each, Leaf, Nested, Parallel, Step, When
from dspex_lab.server.notebook_names import NotebookNames
from dspex_lab.server.stand_ins import condition_of, stand_in
from dspex_lab.server.unclear import Unclear
from dspex_lab.signatures import Assumed, CompiledSignature

__all__ = ["Refused", "StepReader"]

_STEP = Leaf | Parallel | Nested | When | Each
#: What constructors take and what changes no field that a step reads or writes.
_INDIFFERENT = frozenset(
    {
        *("adapter", "cache", "concurrency", "default", "demos", "fallback", "instructions", "lm", "max_iters"),
        *("needs", "output_retries", "pool", "program", "retry", "route", "stream", "timeout_s", "tools"),
    }
)
#: What is given in place of those that must be.
_STAND_INS: Mapping[str, Mapping[str, Any]] = {"react": {"tools": ()}, "module": {"program": None}}
#: Those that take the options of every step.
_OPTIONED = CONSTRUCTORS.keys() - {"ask", "each", "parallel", "when"}
_SIGNED = frozenset({"ask", "chain_of_thought", "module", "predict", "program_of_thought", "react"})


class _Unknown:
    """The value of an expression that is no literal."""


_UNKNOWN = _Unknown()


class Refused(Exception):
    """A constructor refuses what the cell's text gives it, with ``error``, and so it will when the cell is run."""

    def __init__(self, error: LabError, call: ast.Call) -> None:
        super().__init__(error.message)
        self.error = error
        self.call = call


class StepReader:
    """Reads one cell, statement by statement."""

    def __init__(self, names: NotebookNames) -> None:
        self._names = names
        self._own: Counter[str] = Counter()
        self._values: dict[str, Any] = {}

    def steps(self, tree: ast.Module) -> dict[str, Step | Unclear] | None:
        """The steps by name, in order; None where the text says nothing of them for certain. Raises ``Refused``."""
        self._own.update(name for node in ast.walk(tree) for name in _bound(node))
        if "*" in self._own or any(name in self._own for name in CONSTRUCTORS):
            return None
        found: dict[str, Step | Unclear] = {}
        for statement in tree.body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                self._values[statement.name] = stand_in(statement) or _UNKNOWN
            target = target_of(statement)
            if target is None:
                continue
            value = self._values[target] = self._value(getattr(statement, "value", ast.Constant(None)))
            if isinstance(value, _Unknown):
                value = Unclear(is_step=False)
            if not isinstance(value, _STEP | Unclear):
                continue
            if target in found:
                return None
            found[target] = value.called(target) if isinstance(value, Unclear) else value
        return found

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                values = [self._value(part) for part in parts]
                if any(isinstance(one, _Unknown | Unclear) for one in values):
                    return _UNKNOWN
                return tuple(values) if isinstance(node, ast.Tuple) else values
            case ast.Lambda():
                return stand_in(node) or _UNKNOWN
            case ast.Name(id=name):
                return self._named(name)
            case ast.Call(func=ast.Name(id=name)) if name in CONSTRUCTORS:
                return self._made(name, node)
        return _UNKNOWN

    def _named(self, name: str) -> Any:
        """What the name stands for, where this is sure."""
        if name in self._own:
            value = self._values.get(name, _UNKNOWN)
            # A list may have been changed since.
            return _UNKNOWN if self._own[name] > 1 or isinstance(value, list | tuple) else value
        value = self._names.settled(name) if name in self._names else Assumed
        is_known = isinstance(value, CompiledSignature | str) or (inspect.isfunction(value) and _says_fields(value))
        return value if is_known else _UNKNOWN

    def _made(self, name: str, call: ast.Call) -> Step | Unclear:
        given = _arguments(CONSTRUCTORS[name], call)
        if given is None or (name in _OPTIONED and not given.keys() <= _parameters(name)):
            return Unclear()  # an option that there is not is told by itself
        ignored = frozenset() if name == "parallel" else _INDIFFERENT
        values = {key: self._given(key, node) for key, node in given.items() if key not in ignored}
        if name == "native" and isinstance(values.get("function"), _Unknown):
            return _unclear_function(values, call)
        if name == "module" and values.get("signature") is None:
            return Unclear(overwrites=_overwrites(values))
        if any(isinstance(one, _Unknown | Unclear) for one in values.values()):
            return Unclear(overwrites=_overwrites(values) if name in _SIGNED | {"template"} else None)
        return _construct(name, {**_STAND_INS.get(name, {}), **values}, self._names, call)

    def _given(self, key: str, node: ast.expr) -> Any:
        if key != "condition":
            return self._value(node)
        return (condition_of(node) if isinstance(node, ast.Lambda) else None) or _UNKNOWN


def _parameters(name: str) -> set[str]:
    return {*StepOptions.__annotations__, *inspect.signature(CONSTRUCTORS[name]).parameters}


def _construct(name: str, values: dict[str, Any], names: NotebookNames, call: ast.Call) -> Step | Unclear:
    if name in _SIGNED:
        values["namespace"] = names
    is_blind = name == "native" and values["function"] is _blind
    try:
        made = CONSTRUCTORS[name](**values)
    except SignatureError:
        return Unclear()  # said already, at its own place
    except LabError as error:
        raise Refused(error, call) from None
    except Exception:  # whatever a constructor makes of values that it was not made for
        return Unclear()
    return _returning(made, Assumed) if is_blind and isinstance(made, Leaf) else made


def _unclear_function(values: dict[str, Any], call: ast.Call) -> Step | Unclear:
    """A step of a function that is not known, but for what the call says of it."""
    overwrites = _overwrites(values)
    writes = values.get("writes")
    reads = values.get("reads")
    if overwrites is None or "optional" in values or not (reads is None or _is_names(reads)):
        return Unclear(overwrites=overwrites)
    if not (writes is None or isinstance(writes, str) or _is_names(writes)):
        return Unclear(overwrites=overwrites)
    if reads is not None:
        return _construct("native", {**values, "function": _blind}, NotebookNames(), call)
    if writes is None:
        return Unclear(None, overwrites, writes_its_name=True)
    return Unclear((writes,) if isinstance(writes, str) else tuple(writes), overwrites)


def _blind(*_: Any) -> None:
    """Stands for a function of which nothing is known."""


def _returning(leaf: Leaf, annotation: Any) -> Leaf:
    writes = leaf.writes and tuple(replace(one, annotation=annotation) for one in leaf.writes)
    return replace(leaf, writes=writes, returns=annotation)


def _is_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


def _overwrites(values: Mapping[str, Any]) -> bool | None:
    given = values.get("overwrite", False)
    return given if isinstance(given, bool) else None


def _says_fields(function: Callable[..., Any]) -> bool:
    return function.__code__.co_filename == "<stand-in>"


def _arguments(constructor: Callable[..., Any], call: ast.Call) -> dict[str, ast.expr] | None:
    """What is given for each parameter; None where that is not said, or does not fit."""
    if any(isinstance(one, ast.Starred) for one in call.args) or any(one.arg is None for one in call.keywords):
        return None
    if any(one.arg == "namespace" for one in call.keywords):
        return None
    signature = inspect.signature(constructor)
    try:
        bound = signature.bind(*call.args, **{str(one.arg): one.value for one in call.keywords})
    except TypeError:
        return None
    given: dict[str, ast.expr] = {}
    for name, value in bound.arguments.items():
        is_rest = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
        given.update(value if is_rest else {name: value})
    return given


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that a piece of source binds, in whatever scope; what functions bind outside of them counts twice, as
    nobody knows when they are called."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=imported) | ast.ImportFrom(names=imported):
            yield from ((one.asname or one.name).partition(".")[0] for one in imported)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
        case ast.Global(names=named):
            yield from (*named, *named)
