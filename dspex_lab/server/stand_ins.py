"""Functions that stand for a user's: with the same parameters, made of their source. Nothing of the user's is executed.

What a function does is its own affair; what a pipeline asks of it is which fields it reads.
"""

from __future__ import annotations

import ast
import types
import warnings
from collections.abc import Callable
from typing import Any

from dspex_lab.signatures import Assumed

__all__ = ["condition_of", "stand_in"]

_FILE = "<stand-in>"


def stand_in(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> Callable[..., Any] | None:
    """A function with the parameters of ``node``, which does nothing; each of its annotations is :class:`Assumed`. None
    where a decorator may have changed it."""
    if isinstance(node, ast.Lambda):
        return _function(node.args, ast.Constant(None))
    if node.decorator_list:
        return None
    function = _function(node.args, ast.Constant(None))
    if function is not None:
        function.__name__ = node.name
        arguments = (*node.args.args, *node.args.kwonlyargs)
        hints = {one.arg: Assumed for one in arguments if one.annotation is not None}
        function.__annotations__ = hints | ({} if node.returns is None else {"return": Assumed})
    return function


def condition_of(node: ast.Lambda) -> Callable[..., Any] | None:
    """The condition as it stands there, to be looked at and not to be called."""
    return _function(node.args, node.body)


def _function(given: ast.arguments, body: ast.expr) -> types.FunctionType | None:
    """A function of the source's own parameters and of ``body``, which is compiled and not run. The defaults are None:
    that there is one is all that is known of it."""
    plain = ast.arguments(
        posonlyargs=[ast.arg(one.arg) for one in given.posonlyargs],
        args=[ast.arg(one.arg) for one in given.args],
        vararg=given.vararg and ast.arg(given.vararg.arg),
        kwonlyargs=[ast.arg(one.arg) for one in given.kwonlyargs],
        kw_defaults=[None for _ in given.kwonlyargs],
        kwarg=given.kwarg and ast.arg(given.kwarg.arg),
        defaults=[],
    )
    made = ast.fix_missing_locations(ast.Expression(ast.Lambda(plain, body)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outer = compile(made, _FILE, "eval", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    code = next(one for one in outer.co_consts if isinstance(one, types.CodeType))
    function = types.FunctionType(code, {}, argdefs=(None,) * len(given.defaults))
    wanted = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    function.__kwdefaults__ = {one.arg: None for one, default in wanted if default is not None}
    return function
