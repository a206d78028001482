"""DSPy's code interpreter over the pool ``sandbox``: ProgramOfThought, CodeAct and RLM need no Deno. Imports DSPy.

Each block is a nested call of the operation that runs the program. It finds what the blocks before it left, because
those are **run again** in front of it: a block that takes long takes long each time, what a block reads from the clock
may differ, and a set or ``random`` does not. A tool runs at home, in the program's own worker: the block stops where
it calls one, and is run again with the answer. A block that was ended (its time, its memory) is forgotten.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import secrets
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

import msgspec
from dspy.primitives.code_interpreter import CodeExecutionError, CodeInterpreterError, FinalOutput

from dspex_lab.calls import Call
from dspex_lab.errors import DeadlineExceeded, LabError, WorkerMemoryExceeded
from dspex_lab.worker.context import OpContext
from dspex_lab.worker.ops.code import CODE_RUN, Outcome, ToolRequest, json_text

__all__ = ["SANDBOX_POOL", "InterpreterFactory", "PoolInterpreter"]

SANDBOX_POOL = "sandbox"

#: A block whose tools are asked for so often never comes to its end.
_MAX_ROUNDS = 200
_INSTRUCTIONS = (
    "Code runs as Python in a sandbox without a network; files can be written in the working folder only. Variables, "
    "imports and functions persist between blocks. Tools and SUBMIT are global functions; tools take and give plain "
    "JSON data. No other program can be started."
)


class InterpreterFactory:
    """What ``dspy.context(interpreter_factory=...)`` takes: a fresh interpreter for the operation ``context``."""

    execution_instructions = _INSTRUCTIONS

    def __init__(self, context: OpContext) -> None:
        self._context = context

    def __call__(self) -> PoolInterpreter:
        return PoolInterpreter(self._context)


class PoolInterpreter:
    """A ``dspy.primitives.code_interpreter.CodeInterpreter``. Used from one thread at a time, never on the services
    loop. ``tools`` and ``output_fields`` may be changed between blocks."""

    execution_instructions = _INSTRUCTIONS

    def __init__(
        self,
        context: OpContext,
        tools: dict[str, Callable[..., Any]] | None = None,
        output_fields: list[dict[str, Any]] | None = None,
    ) -> None:
        self.tools = dict(tools or {})
        self.output_fields = output_fields
        self._context = context
        self._blocks: list[dict[str, Any]] = []
        #: JSON texts of variables, and the place of each: the same large value comes with many blocks.
        self._values: dict[str, int] = {}
        self._answers: list[dict[str, Any]] = []
        self._seed = secrets.randbits(32)
        self._is_over = False

    def start(self) -> None:
        """Nothing is held between blocks; a session that was shut down is an error."""
        if self._is_over:
            raise CodeInterpreterError("This interpreter was shut down.")

    def shutdown(self) -> None:
        """Forget the state."""
        self._is_over = True
        self._blocks.clear()
        self._values.clear()
        self._answers.clear()

    def execute(self, code: str, variables: dict[str, Any] | None = None) -> Any:
        """Run a block: ``FinalOutput``, what it printed, the value of its last line, or None.

        Raises ``SyntaxError``, ``CodeExecutionError`` for what better code can avoid, and ``CodeInterpreterError``.
        """
        self.start()
        try:
            block = self._block(code, variables or {})
            for _ in range(_MAX_ROUNDS):
                outcome = self._run(block)
                if not outcome.tools:
                    return self._told(block, outcome)
                self._answers += [self._answer(request) for request in outcome.tools]
        except (DeadlineExceeded, WorkerMemoryExceeded) as error:
            raise CodeExecutionError(error.message) from None
        except LabError as error:
            raise CodeInterpreterError(str(error)) from error
        raise CodeExecutionError(f"The code asked for its tools {_MAX_ROUNDS} times and came to no end.")

    def __call__(self, code: str, variables: dict[str, Any] | None = None) -> Any:
        return self.execute(code, variables)

    def _block(self, code: str, variables: dict[str, Any]) -> dict[str, Any]:
        places = {
            name: self._values.setdefault(json_text(value), len(self._values)) for name, value in variables.items()
        }
        return {"code": code, "variables": places}

    def _run(self, block: dict[str, Any]) -> Outcome:
        """One call of ``code.run``; an interrupt ends it."""
        fields = self.output_fields
        arguments = {
            "blocks": [*self._blocks, block],
            "values": list(self._values),
            "tools": list(self.tools),
            "answers": self._answers,
            "output_fields": None if fields is None else [field["name"] for field in fields],
            "seed": self._seed,
        }
        # What runs there touches nothing outside: it may run again when its worker dies.
        call = Call(CODE_RUN, arguments, pool=SANDBOX_POOL, trace=self._context.trace, idempotent=True)
        future = self._context.on_services(self._call(call))
        try:
            return msgspec.convert(future.result(), Outcome)
        except BaseException:
            future.cancel()
            raise

    async def _call(self, call: Call) -> Any:
        pending = self._context.submit(call)
        try:
            return (await pending.result()).value
        except BaseException:
            pending.cancel()
            raise

    def _told(self, block: dict[str, Any], outcome: Outcome) -> Any:
        """What DSPy is told of a block that came to its end; a block that was ended leaves no state."""
        if not outcome.was_ended:
            self._blocks.append(block)
        if outcome.error_type == "SyntaxError":
            raise SyntaxError(outcome.error)
        if outcome.error is not None:
            printed = f"\nIt printed before:\n{outcome.output}" if outcome.output else ""
            raise CodeExecutionError(f"{outcome.error}{printed}")
        if outcome.final is not msgspec.UNSET:
            return FinalOutput(outcome.final)
        output = outcome.output.rstrip("\n")
        if outcome.result is None:
            return output or None
        return f"{output}\n{outcome.result!r}" if output else outcome.result

    def _answer(self, request: ToolRequest) -> dict[str, Any]:
        """Call the tool here; what it raises is raised again in the code."""
        call = {"name": request.name, "args": request.args, "kwargs": request.kwargs}
        tool = self.tools.get(request.name)
        if tool is None:
            return {**call, "error": f"There is no tool {request.name!r}."}
        try:
            value = tool(*request.args, **request.kwargs)
            if inspect.isawaitable(value):
                value = _value_of(value)
            return {**call, "value": msgspec.json.decode(json_text(value))}
        except Exception as error:  # the code's to handle
            return {**call, "error": f"{type(error).__name__}: {error}"}


def _value_of(work: Awaitable[Any]) -> Any:
    """Wait for an asynchronous tool on a loop of its own: this thread may have one that runs."""
    outcome: Future[Any] = Future()

    async def finish() -> Any:
        return await work

    def run() -> None:
        try:
            outcome.set_result(asyncio.run(finish()))
        except BaseException as error:  # passed on to who waits
            outcome.set_exception(error)

    threading.Thread(target=contextvars.copy_context().run, args=(run,), name="dspex-lab-tool", daemon=True).start()
    return outcome.result()
