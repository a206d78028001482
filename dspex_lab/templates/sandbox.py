"""The sandboxed Jinja2 environment: plain data in, text out, nothing else to be reached.

On top of Jinja's own immutable sandbox: methods come from a short list for plain types only, so an object in the
context can be looked at but not made to act; loops tick; and operators, filters and literals that make large values
are charged to the rendering's budget. Knows nothing of how errors are told.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any

from jinja2 import StrictUndefined, Undefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace
from jinja2.visitor import NodeTransformer

from dspex_lab.templates.budget import LimitReachedError, current_budget, weigh

__all__ = ["Sandbox", "limited"]

_TEXT_METHODS = frozenset(
    {
        "capitalize", "casefold", "center", "count", "endswith", "find", "format", "index", "isalnum",
        "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric", "isprintable",
        "isspace", "istitle", "isupper", "join", "ljust", "lower", "lstrip", "partition", "removeprefix",
        "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip", "split",
        "splitlines", "startswith", "strip", "swapcase", "title", "upper", "zfill",
    }
)  # fmt: skip
_METHODS: tuple[tuple[type | tuple[type, ...], frozenset[str]], ...] = (
    (str, _TEXT_METHODS),
    (dict, frozenset({"get", "items", "keys", "values"})),
    ((list, tuple), frozenset({"count", "index"})),
    ((set, frozenset), frozenset({"difference", "intersection", "isdisjoint", "issubset", "issuperset", "union"})),
    ((int, float), frozenset({"bit_length", "is_integer"})),
)
#: Values of these modules hold no more than themselves; their methods are harmless.
_VALUE_MODULES = frozenset({"datetime", "decimal", "fractions", "uuid"})
#: Jinja's own objects inside a template.
_OWN = (LoopContext, Macro, Cycler, Joiner, Namespace)
#: Left out: not deterministic, made of slow regular expressions, or of no use for prompts.
_NO_FILTERS = ("random", "urlize", "xmlattr")
_NO_GLOBALS = ("lipsum",)

_MAX_BITS = 20_000
_WIDE_FORMAT = re.compile(r"\d{4,}|\*|:[^}]*\{")


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja2 for templates that nobody has looked at."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    @staticmethod
    def concat(pieces: Iterable[str]) -> str:
        """Called by Jinja2 to join what a template wrote."""
        return _charged_concat(pieces)

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, cache_size=0)
        for name in _NO_FILTERS:
            del self.filters[name]
        for name in _NO_GLOBALS:
            del self.globals[name]
        for name, function in list(self.filters.items()):
            self.filters[name] = _charged_filter(name, function)
        self.filters |= {"_made": _weighed, "_joined": _joined}

    def tick(self) -> None:
        """Called by compiled templates at each turn of each loop."""
        current_budget.get().tick()

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if not super().is_safe_attribute(obj, attr, value):
            return False
        for kinds, names in _METHODS:
            if isinstance(obj, kinds):
                return attr in names
        if isinstance(obj, _OWN):
            return True
        return not callable(value) or (not isinstance(obj, type) and type(obj).__module__ in _VALUE_MODULES)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        # At once, and not when the value is used: nothing that a template makes shall hold such a value.
        raise SecurityError(f"{attribute!r} of a {type(obj).__name__}")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        current_budget.get().charge(_weight_of_binop(operator, left, right))
        result = super().call_binop(context, operator, left, right)
        return weigh(result) if isinstance(result, list | tuple) else result

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as in Jinja2
        if getattr(__obj, "__func__", None) is Sandbox.tick:
            return __self.tick()
        owner = getattr(__obj, "__self__", None)
        current_budget.get().charge(1)
        if isinstance(owner, str):
            args = _guard_method(owner, __obj.__name__, args)
        return weigh(super().call(__context, __obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        return None if wrapped is None else _narrow_format(value.__self__, wrapped)


def limited(template: nodes.Template) -> nodes.Template:
    """The syntax tree with what keeps to the budget: loops that tick, literals and joins that are weighed."""
    result: nodes.Template = _Limiter().visit(template)
    return result


class _Limiter(NodeTransformer):
    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - the visitor's form
        self.generic_visit(node)
        tick = nodes.Call(nodes.EnvironmentAttribute("tick"), [], [], None, None, lineno=node.lineno)
        node.body.insert(0, nodes.ExprStmt(tick, lineno=node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - the visitor's form
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "_joined")

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802 - the visitor's form
        self.generic_visit(node)
        return _filtered(node, "_made")

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802 - the visitor's form
        self.generic_visit(node)
        return _filtered(node, "_made")

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802 - the visitor's form
        self.generic_visit(node)
        return _filtered(node, "_made") if node.ctx == "load" else node


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _weight_of_binop(operator: str, left: Any, right: Any) -> int:
    """How large the result will be, in characters, elements or bytes."""
    if operator == "+":
        return _size(left) + _size(right)
    if operator == "*":
        if isinstance(left, int) and isinstance(right, int):
            return _checked_bits(left.bit_length() + right.bit_length())
        return _size(left) * _times(right) + _size(right) * _times(left)
    if operator == "**":
        return _checked_bits(left.bit_length() * abs(right)) if isinstance(left, int) and isinstance(right, int) else 1
    if isinstance(left, str | bytes):
        _check_width(left if isinstance(left, str) else left.decode("latin-1"))
        return _size(left)
    return 1


def _checked_bits(bits: int) -> int:
    # The time of a multiplication grows faster than the number; what is this long cannot be printed anyway.
    if bits > _MAX_BITS:
        raise LimitReachedError("A number has more than 6,000 digits.")
    return 1


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple) else 0


def _times(value: Any) -> int:
    return max(0, value) if isinstance(value, int) else 0


def _check_width(pattern: str) -> None:
    if _WIDE_FORMAT.search(pattern):
        raise LimitReachedError("A format has a width over 999, or one that is itself computed.")


def _narrow_format(text: str, wrapped: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(wrapped)
    def checked(*args: Any, **kwargs: Any) -> str:
        _check_width(text)
        current_budget.get().charge(len(text))
        return wrapped(*args, **kwargs)

    return checked


def _guard_method(owner: str, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Charge for a method of a text before it runs; the arguments to run it with."""
    budget = current_budget.get()
    if name in ("center", "ljust", "rjust", "zfill") and args:
        budget.charge(_times(args[0]))
    elif name == "replace" and len(args) >= 2:
        budget.charge(_weight_of_replace(owner, args[0], args[1]))
    elif name == "join" and args:
        items = [item if isinstance(item, str) else str(item) for item in args[0]]
        budget.charge(sum(map(len, items)) + len(owner) * len(items))
        return (items,)
    return args


def _weight_of_replace(text: str, old: Any, new: Any) -> int:
    return len(text) + text.count(str(old)) * len(str(new))


def _charged_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter with its arguments looked at before and its result weighed after."""
    guard = _FILTER_GUARDS.get(name)
    # A filter that wants the context, the environment or the evaluation gets it as its first argument.
    skipped = 1 if hasattr(function, "jinja_pass_arg") else 0

    @functools.wraps(function)
    def charged(*args: Any, **kwargs: Any) -> Any:
        if guard is not None:
            guard(*args[skipped:], **kwargs)
        return _weighed(function(*args, **kwargs))

    return charged


def _guard_width(value: Any = "", width: Any = 80, *_: Any, **__: Any) -> None:
    current_budget.get().charge(_times(width))


def _guard_indent(s: Any = "", width: Any = 4, *_: Any, **__: Any) -> None:
    lines = str(s).count("\n") + 1
    current_budget.get().charge(lines * (len(width) if isinstance(width, str) else _times(width)))


def _guard_replace(s: Any = "", old: Any = "", new: Any = "", *_: Any, **__: Any) -> None:
    current_budget.get().charge(_weight_of_replace(str(s), old, new))


def _guard_join(value: Iterable[Any] = (), d: Any = "", *_: Any, **__: Any) -> None:
    if isinstance(value, list | tuple | str):
        current_budget.get().charge(len(str(d)) * len(value))


def _guard_format(value: Any = "", *_: Any, **__: Any) -> None:
    _check_width(str(value))


def _guard_tojson(value: Any = None, indent: Any = None, *_: Any, **__: Any) -> None:
    if isinstance(indent, int) and indent > 16:
        raise LimitReachedError("The indent of tojson is over 16.")


def _guard_wordwrap(
    s: Any = "", width: Any = 79, break_long_words: Any = True, wrapstring: Any = None, **_: Any
) -> None:
    rows = len(str(s)) // max(1, _times(width)) + str(s).count("\n") + str(s).count(" ") + 1
    current_budget.get().charge(rows * len(wrapstring or "\n"))


def _guard_sum(iterable: Any = (), attribute: Any = None, start: Any = 0, *_: Any, **__: Any) -> None:
    if not isinstance(start, int | float):
        raise LimitReachedError("The filter sum adds numbers only.")


_FILTER_GUARDS: dict[str, Callable[..., None]] = {
    "batch": _guard_width,
    "center": _guard_width,
    "format": _guard_format,
    "indent": _guard_indent,
    "join": _guard_join,
    "replace": _guard_replace,
    "slice": _guard_width,
    "sum": _guard_sum,
    "tojson": _guard_tojson,
    "wordwrap": _guard_wordwrap,
}


def _weighed(value: Any) -> Any:
    """``value``, charged for; a list that holds what is undefined would otherwise print it as if it were a value."""
    if isinstance(value, list | tuple):
        for item in value:
            if isinstance(item, Undefined):
                str(item)
    return weigh(value)


def _joined(items: list[Any]) -> str:
    return _charged_concat(str(item) for item in items)


def _charged_concat(pieces: Iterable[str]) -> str:
    collected = list(pieces)
    current_budget.get().charge(sum(map(len, collected)))
    return "".join(collected)
