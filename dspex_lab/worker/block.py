"""The process of its own in which a piece of generated code runs: ``python -m dspex_lab.worker.block``.

The request comes as JSON on standard input, one answer leaves as JSON on standard output; between the two the process
closes itself (``guards``). State is kept by replaying: the blocks before the last run again, unheard. A tool is a
function at home; a call to one whose answer is not in the request stops the block and is asked for in the answer.

Imports the standard library and the guards only. Nothing that it answers is trusted: the code in it may write the
answer itself.
"""

from __future__ import annotations

import ast
import builtins
import io
import json
import os
import random
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from dspex_lab.worker.guards import guard_generated_code

__all__ = ["Session", "main"]

_FILE_NAME = "<code>"
_MAX_OUTPUT_CHARS = 100_000


class _ToolNeeded(BaseException):
    """A tool was called whose answer is not here yet."""


class _Submitted(BaseException):
    """``SUBMIT`` was called."""

    def __init__(self, value: Any) -> None:
        self.value = _jsonable(value)


class _Output(io.TextIOBase):
    """What the code prints, up to a bound; the rest is counted."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._room = _MAX_OUTPUT_CHARS
        self._left_out = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        kept = text[: self._room]
        self._parts.append(kept)
        self._room -= len(kept)
        self._left_out += len(text) - len(kept)
        return len(text)

    def text(self) -> str:
        shown = "".join(self._parts)
        return f"{shown}\n… ({self._left_out} more characters)" if self._left_out else shown


class Session:
    """The namespace in which the blocks of one request run."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.wanted: list[dict[str, Any]] = []
        self._values: list[str] = request["values"]
        self._fields: list[str] | None = request.get("output_fields")
        self._lock = threading.Lock()
        self._answers: dict[str, deque[dict[str, Any]]] = defaultdict(deque)
        for answer in request.get("answers", ()):
            self._answers[_key(answer)].append(answer)
        self.namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins, "SUBMIT": self._submit}
        self.namespace.update((name, self._tool(name)) for name in request.get("tools", ()))

    def run(self, block: dict[str, Any]) -> dict[str, Any]:
        """Run one block; how it ended, as plain data."""
        self.namespace.update({name: json.loads(self._values[index]) for name, index in block["variables"].items()})
        output = _Output()
        sys.stdout = sys.stderr = output
        outcome: dict[str, Any]
        try:
            outcome = {"result": _jsonable(self._value(block["code"]))}
        except _Submitted as submitted:
            outcome = {"final": submitted.value}
        except _ToolNeeded:
            outcome = {}
        except SyntaxError as error:
            outcome = {"error": str(error), "error_type": "SyntaxError"}
        except BaseException as error:  # whatever the code raises is its outcome
            outcome = {"error": _description(error), "error_type": type(error).__name__}
        return {"output": output.text(), **outcome}

    def _value(self, code: str) -> Any:
        """Run ``code``; the value of its last line, where that is an expression."""
        tree = ast.parse(code, _FILE_NAME)
        last = tree.body[-1] if tree.body else None
        if isinstance(last, ast.Expr):
            del tree.body[-1]
        exec(compile(tree, _FILE_NAME, "exec"), self.namespace)  # noqa: S102 - what this process is for
        if not isinstance(last, ast.Expr):
            return None
        return eval(compile(ast.Expression(last.value), _FILE_NAME, "eval"), self.namespace)  # noqa: S307 - as above

    def _tool(self, name: str) -> Callable[..., Any]:
        def tool(*args: Any, **kwargs: Any) -> Any:
            call = {"name": name, "args": [_jsonable(one) for one in args], "kwargs": _jsonable(kwargs)}
            with self._lock:
                known = self._answers[_key(call)]
                if not known:
                    self.wanted.append(call)
                    raise _ToolNeeded
                answer = known.popleft()
            if "error" in answer:
                raise RuntimeError(answer["error"])
            return answer.get("value")

        tool.__name__ = name
        return tool

    def _submit(self, *args: Any, **kwargs: Any) -> NoReturn:
        """The final answer: by position or by name where the fields are known, else one value or any names."""
        if args and kwargs:
            raise TypeError("SUBMIT takes values by position or by name, not both")
        if self._fields is None:
            if not kwargs and len(args) != 1:
                raise TypeError("SUBMIT takes one value")
            raise _Submitted(kwargs or {"output": args[0]})
        if len(args) == 1 and isinstance(args[0], dict) and set(args[0]) == set(self._fields):
            raise _Submitted(args[0])
        values = dict(zip(self._fields, args, strict=False)) if args else kwargs
        if set(values) != set(self._fields) or len(args) > len(self._fields):
            raise TypeError(f"SUBMIT takes the fields {', '.join(self._fields)}")
        raise _Submitted(values)


def _key(call: dict[str, Any]) -> str:
    return json.dumps([call["name"], call["args"], call["kwargs"]], sort_keys=True)


def _jsonable(value: Any) -> Any:
    """``value`` as JSON would give it back, or its repr. Whole numbers of more than 64 bits are their digits as text:
    nobody who reads the answer has a number for them."""
    try:
        return json.loads(json.dumps(value, allow_nan=False), parse_int=_number)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def _number(digits: str) -> int | str:
    number = int(digits)
    return number if -(2**63) <= number < 2**64 else digits


def _description(error: BaseException) -> str:
    """The error with the line of the code that raised it."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _FILE_NAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    name = type(error).__name__
    try:
        text = f"{name}: {error}".removesuffix(": ")
    except BaseException:  # its own code runs here
        text = f"{name}: <unprintable>"
    return f"{text} (line {line})" if line else text


def _run(request: dict[str, Any]) -> dict[str, Any]:
    random.seed(request.get("seed"))
    session = Session(request)
    outcome: dict[str, Any] = {"output": ""}
    for block in request["blocks"]:
        outcome = session.run(block)
        if session.wanted:
            return {"output": outcome["output"], "tools": session.wanted}
    return outcome


def main() -> NoReturn:
    """Read the request, close the process, run, answer, and leave whatever threads there are behind."""
    request = json.loads(sys.stdin.buffer.read())
    answer = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    guard_generated_code(Path.cwd(), is_sandbox=request["is_sandbox"], max_memory_mb=request["max_memory_mb"])
    # Half of a surrogate pair, as file names may hold, has no form as bytes.
    data = memoryview(json.dumps(_run(request), ensure_ascii=False).encode(errors="replace"))
    while data:
        data = data[os.write(answer, data) :]
    os._exit(0)


if __name__ == "__main__":
    main()
