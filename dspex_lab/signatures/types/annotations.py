"""Makes Python types and plain values of parsed expressions: the white-listed part of ``eval`` that signatures need.

What it does not know it refuses with a :class:`Fault`; it never evaluates anything.
"""

from __future__ import annotations

import ast
import enum
import math
import typing
from collections.abc import Callable, Hashable
from typing import Annotated, Any, Literal, Optional, Union

from dspex_lab.signatures.types.assumed import ASSUMED_VALUE, Assumed
from dspex_lab.signatures.types.constraints import FIELD_OPTIONS, field_info, misfit, option_fault, option_meant_by
from dspex_lab.signatures.types.dspy_types import DspyType, dspy_type
from dspex_lab.signatures.types.known_types import GENERIC_ARITY
from dspex_lab.signatures.types.names import Fault, NameTable, is_type
from dspex_lab.signatures.types.rebuild import annotate

__all__ = ["Resolver"]

_FIELD_CALLS = frozenset({"Field", "InputField", "OutputField"})


class Resolver:
    """Resolves the expressions of one signature against one :class:`NameTable`.

    ``options`` holds what the ``Field(...)`` inside the annotation that was resolved last said, in its order.
    """

    def __init__(self, names: NameTable) -> None:
        self._names = names
        self.options: dict[str, Any] = {}

    def annotation(self, node: ast.expr) -> Any:
        """The type that ``node`` stands for."""
        if isinstance(node, ast.Name | ast.Attribute):
            return self._named(node)
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return Union[tuple(self.annotation(part) for part in _alternatives(node))]  # noqa: UP007 (built at run time)
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.Call):
            raise Fault("A call is no type.", node, "Put options into `Annotated[type, Field(...)]`.")
        if isinstance(node, ast.Tuple):
            raise Fault("These are several types, not one.", node, "Write `tuple[...]`, or join them with `|`.")
        if isinstance(node, ast.List):
            raise Fault("A list is no type.", node, "Write `list[...]`, or `Literal[...]` for a choice.")
        raise Fault("This is no type.", node, "A type is a name such as `str`, `list[int]` or `int | None`.")

    def _named(self, node: ast.Name | ast.Attribute) -> Any:
        value = self._names.resolve(node)
        if is_type(value) or getattr(value, "__module__", None) == "typing":
            if value in (Literal, Annotated, Union, Optional):
                raise Fault(f"`{ast.unparse(node)}` needs arguments.", node, f"Write `{ast.unparse(node)}[...]`.")
            return value
        raise Fault(f"`{ast.unparse(node)}` is no type.", node)

    def _constant(self, node: ast.Constant) -> Any:
        if node.value is None:
            return type(None)
        if isinstance(node.value, str):
            try:
                inner = ast.parse(node.value.strip(), mode="eval").body
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                inner = node
            if isinstance(inner, ast.Name | ast.Attribute):
                return self._named(ast.copy_location(inner, node))
        hint = "Drop the quotes." if isinstance(node.value, str) else "A choice of values is `Literal[...]`."
        raise Fault(f"The value {_short(node.value)} is no type.", node, hint)

    def _subscript(self, node: ast.Subscript) -> Any:
        if not isinstance(node.value, ast.Name | ast.Attribute):
            raise Fault("Only a name can take arguments in square brackets.", node.value)
        base = self._names.resolve(node.value)
        arguments = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        if base is Literal:
            return self._literal(node, arguments)
        if base is Annotated:
            return self._annotated(node, arguments)
        if base in (tuple, typing.Tuple):  # noqa: UP006 - what users write
            return self._tuple(base, arguments)
        if isinstance(base, type) and issubclass(base, DspyType):
            return self._parametrized(node, base, arguments)
        types_ = tuple(self.annotation(argument) for argument in arguments)
        wanted = GENERIC_ARITY.get(base) if isinstance(base, Hashable) else None
        if wanted is not None and len(types_) != wanted:
            raise Fault(
                f"`{ast.unparse(node.value)}` takes {wanted} argument{'s' if wanted > 1 else ''}, not {len(types_)}.",
                node,
                _arity_hint(ast.unparse(node.value), wanted),
            )
        try:
            return base[types_ if len(types_) > 1 else types_[0]]
        except Exception:  # what a class says to its arguments is its own affair
            raise Fault(f"`{ast.unparse(node.value)}` takes no such arguments.", node) from None

    def _literal(self, node: ast.Subscript, arguments: list[ast.expr]) -> Any:
        if not arguments:
            raise Fault("`Literal` needs at least one value.", node)
        values = tuple(self._choice(argument) for argument in arguments)
        return Literal[values]

    def _choice(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            raise Fault(f"`{node.id}` in a Literal must be a value.", node, f'Quote it: "{node.id}".')
        value = self.value(node)
        if not isinstance(value, str | int | float | bytes | bool | enum.Enum | None):
            raise Fault("A Literal holds strings, numbers, True, False, None or members of an enum.", node)
        return value

    def _annotated(self, node: ast.Subscript, arguments: list[ast.expr]) -> Any:
        if len(arguments) < 2:
            raise Fault("`Annotated` needs a type and a `Field(...)`.", node, "Write `Annotated[int, Field(ge=1)]`.")
        inner = self.annotation(arguments[0])
        metadata: list[Any] = []
        for argument in arguments[1:]:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                self.options.setdefault("description", argument.value)
                continue
            options = self.field_options(argument)
            self.fits(argument, inner, options)
            self.options.update(options)
            info = field_info(options)
            if info is not None:
                metadata.append(info)
        return annotate(inner, metadata) if metadata else inner

    def _tuple(self, base: Any, arguments: list[ast.expr]) -> Any:
        parts: list[Any] = []
        for index, argument in enumerate(arguments):
            if isinstance(argument, ast.Constant) and argument.value is ...:
                if index != 1 or len(arguments) != 2:
                    raise Fault("`...` may only follow one type: `tuple[int, ...]`.", argument)
                parts.append(...)
            else:
                parts.append(self.annotation(argument))
        return base[tuple(parts)]

    def _parametrized(self, node: ast.Subscript, base: type[DspyType], arguments: list[ast.expr]) -> Any:
        if base.dspy_name == "Code" and len(arguments) == 1:
            argument = arguments[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                return dspy_type("Code", argument.value)
        raise Fault(f"`dspy.{base.dspy_name}` takes no such arguments.", node)

    def is_field_call(self, node: ast.expr) -> bool:
        """Whether ``node`` is ``Field(...)``, with or without the module's name."""
        function = node.func if isinstance(node, ast.Call) else None
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
        return name in _FIELD_CALLS

    def field_options(self, node: ast.expr) -> dict[str, Any]:
        """The options of a ``Field(...)`` call, checked one by one."""
        if not isinstance(node, ast.Call) or not self.is_field_call(node):
            raise Fault("Only `Field(...)` can stand here.", node, "Write `Annotated[int, Field(ge=1)]`.")
        options: dict[str, Any] = {}
        if node.args:
            if len(node.args) > 1 or isinstance(node.args[0], ast.Starred):
                raise Fault("`Field` takes options by name.", node.args[0], "Write `Field(ge=1, le=5)`.")
            options["default"] = self.value(node.args[0])
        for keyword in node.keywords:
            if keyword.arg is None:
                raise Fault("`Field` takes options by name, not `**`.", keyword.value)
            value = self.value(keyword.value)
            message = option_fault(keyword.arg, value)
            if message:
                guess = None if keyword.arg in FIELD_OPTIONS else option_meant_by(keyword.arg)
                hint = f"Did you mean `{guess}`?" if guess else f"It takes {', '.join(FIELD_OPTIONS)}."
                raise Fault(message, keyword, None if keyword.arg in FIELD_OPTIONS else hint)
            options[keyword.arg] = value
        if options.get("default") is ...:
            del options["default"]
        return options

    def fits(self, node: ast.expr, annotation: Any, options: dict[str, Any]) -> None:
        """Refuses options that say nothing about ``annotation``, or contradict each other."""
        message = misfit(annotation, options)
        if message:
            raise Fault(message, node)

    def value(self, node: ast.expr) -> Any:
        """The plain value that ``node`` writes down: constants, lists, tuples, sets and dicts of them, enum members."""
        if isinstance(node, ast.Constant):
            if isinstance(node.value, float) and not math.isfinite(node.value):
                raise Fault("This number is too large.", node)
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            number = node.operand.value if isinstance(node.operand, ast.Constant) else None
            if isinstance(number, int | float | complex) and not isinstance(number, bool):
                return -number if isinstance(node.op, ast.USub) else number
        elif isinstance(node, ast.List):
            return [self.value(item) for item in node.elts]
        elif isinstance(node, ast.Tuple):
            return tuple(self.value(item) for item in node.elts)
        elif isinstance(node, ast.Set):
            return self._hashed(node, lambda: {self.value(item) for item in node.elts})
        elif isinstance(node, ast.Dict):
            return self._hashed(node, lambda: self._dict(node))
        elif isinstance(node, ast.Attribute):
            found = self._names.resolve(node)
            if isinstance(found, enum.Enum):
                return found
            if found is Assumed:
                return ASSUMED_VALUE
        raise Fault("This is no plain value.", node, "Use a number, a string, True, False, None, a list or a dict.")

    def _dict(self, node: ast.Dict) -> dict[Any, Any]:
        pairs: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                raise Fault("`**` cannot stand here.", value)
            pairs[self.value(key)] = self.value(value)
        return pairs

    def _hashed(self, node: ast.expr, build: Callable[[], Any]) -> Any:
        try:
            return build()
        except TypeError:
            raise Fault("A list or a dict cannot be a key or a member of a set.", node) from None


def _alternatives(node: ast.BinOp) -> list[ast.expr]:
    """The parts of ``a | b | c``, without recursion."""
    parts: list[ast.expr] = []
    current: ast.expr = node
    while isinstance(current, ast.BinOp) and isinstance(current.op, ast.BitOr):
        parts.append(current.right)
        current = current.left
    return [current, *reversed(parts)]


def _arity_hint(name: str, wanted: int) -> str:
    return f"Write `{name}[str, int]`." if wanted > 1 else f"Write `{name}[str]`, or `{name}[int | str]` for a mixture."


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
