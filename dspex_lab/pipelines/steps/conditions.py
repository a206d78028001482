"""What a user's condition looks at: the fields that ``lambda s: s.urgency >= 4`` reads, seen in its bytecode.

Pure; the condition is never called here.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["fields_read"]

_MAPPING_METHODS = frozenset({"get", "items", "keys", "to_dict", "values"})
_LOADS = frozenset({"LOAD_FAST", "LOAD_FAST_BORROW", "LOAD_FAST_CHECK"})
_SKIPPED = frozenset({"CACHE", "PRECALL", "EXTENDED_ARG"})


def fields_read(condition: Callable[[Any], Any]) -> tuple[str, ...] | None:
    """The fields that ``condition`` takes from its one argument, as ``s.name`` or ``s["name"]``, in their order.

    None when that cannot be told (the argument goes elsewhere, or the condition is no plain Python function): then it
    may look at everything.
    """
    if not inspect.isfunction(condition):
        return None
    code = condition.__code__
    if code.co_argcount != 1 or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
        return None
    argument = code.co_varnames[0]
    steps = [one for one in dis.get_instructions(code) if one.opname not in _SKIPPED]
    found: dict[str, None] = {}
    for index, step in enumerate(steps):
        if not _mentions(step, argument):
            continue
        field = _field_after(steps, index)
        if step.opname not in _LOADS or field is None:
            return None
        found[field] = None
    return tuple(found)


def _mentions(step: dis.Instruction, argument: str) -> bool:
    # Newer Pythons load two names in one instruction, whose argval is then a tuple.
    return step.argval == argument if isinstance(step.argval, str) else _is_in(argument, step.argval)


def _is_in(argument: str, argval: Any) -> bool:
    return isinstance(argval, tuple) and argument in argval


def _field_after(steps: list[dis.Instruction], index: int) -> str | None:
    following = steps[index + 1 : index + 3]
    if following and following[0].opname in ("LOAD_ATTR", "LOAD_METHOD"):
        name = str(following[0].argval)
        return None if name in _MAPPING_METHODS else name
    if len(following) == 2 and following[0].opname == "LOAD_CONST" and isinstance(following[0].argval, str):
        is_item = following[1].opname == "BINARY_SUBSCR" or "[]" in following[1].argrepr
        return following[0].argval if is_item else None
    return None
