"""DSPy's interpreter over nested calls: state by running again, tools at home, and errors that DSPy understands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from dspy.primitives.code_interpreter import (
    CodeExecutionError,
    CodeInterpreter,
    CodeInterpreterError,
    FinalOutput,
    resolve_interpreter_factory,
)

from dspex_lab.calls import Call, Chunk, Result
from dspex_lab.errors import ConfigurationError, DeadlineExceeded, LabError, WorkerLost, WorkerMemoryExceeded
from dspex_lab.portal import Portal
from dspex_lab.worker.context import OpContext
from dspex_lab.worker.interpreter import InterpreterFactory, PoolInterpreter

Outcome = dict[str, Any]


class Answered:
    """A nested call that ended already."""

    def __init__(self, call: Call, end: Outcome | LabError) -> None:
        self._call = call
        self._end = end

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        return
        yield

    async def result(self) -> Result:
        if isinstance(self._end, LabError):
            raise self._end
        return Result(self._call.id, self._end)

    def cancel(self) -> None:
        """It ended already."""


class Sandbox:
    """A sandbox that answers as scripted; the last answer stays."""

    def __init__(self, *ends: Outcome | LabError) -> None:
        self._ends = list(ends)
        self.calls: list[Call] = []

    def submit(self, call: Call) -> Answered:
        self.calls.append(call)
        return Answered(call, self._ends.pop(0) if len(self._ends) > 1 else self._ends[0])

    def codes(self, index: int = -1) -> list[str]:
        """The blocks of a call, in order."""
        return [block["code"] for block in self.calls[index].args["blocks"]]


Make = Callable[..., tuple[PoolInterpreter, Sandbox]]


@pytest.fixture
def make() -> Iterator[Make]:
    with Portal() as portal:
        loop = portal.call_soon(asyncio.get_running_loop)

        async def emit(_field: str, _text: str) -> None:
            """Nobody reads."""

        def made(*ends: Outcome | LabError, **options: Any) -> tuple[PoolInterpreter, Sandbox]:
            sandbox = Sandbox(*ends)
            context = OpContext("id", "dspy.run", False, emit, sandbox.submit, loop)
            interpreter = InterpreterFactory(context)()
            interpreter.tools.update(options.get("tools", {}))
            interpreter.output_fields = options.get("output_fields")
            return interpreter, sandbox

        yield made


def test_dspy_takes_it_for_an_interpreter_and_its_maker_for_a_factory(make: Make) -> None:
    """Both pass DSPy's own checks."""
    interpreter, _ = make({})
    assert isinstance(interpreter, CodeInterpreter)
    factory = InterpreterFactory(interpreter._context)
    assert resolve_interpreter_factory(factory) is factory
    assert not isinstance(factory, CodeInterpreter)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ({}, None),
        ({"output": "a\n"}, "a"),
        ({"result": [1]}, [1]),
        ({"output": "a\n", "result": 2}, "a\n2"),
        ({"final": {"output": 1}}, FinalOutput({"output": 1})),
        ({"final": None}, FinalOutput(None)),
    ],
)
def test_what_dspy_is_given(make: Make, outcome: Outcome, expected: object) -> None:
    """Printed text, the last line's value, both, nothing, or what was submitted."""
    interpreter, _ = make(outcome)
    assert interpreter.execute("code") == expected


@pytest.mark.parametrize(
    ("end", "error", "said"),
    [
        ({"error": "ValueError: no (line 1)", "error_type": "ValueError"}, CodeExecutionError, "no (line 1)"),
        ({"output": "so far", "error": "X", "error_type": "X"}, CodeExecutionError, "so far"),
        ({"error": "invalid syntax", "error_type": "SyntaxError"}, SyntaxError, "invalid syntax"),
        (DeadlineExceeded("30 s are over"), CodeExecutionError, "30 s are over"),
        (WorkerMemoryExceeded("too much"), CodeExecutionError, "too much"),
        (WorkerLost("gone"), CodeInterpreterError, "gone"),
        (ConfigurationError("no such pool"), CodeInterpreterError, "no such pool"),
    ],
)
def test_what_better_code_can_avoid_is_told_apart(
    make: Make, end: Outcome | LabError, error: type[Exception], said: str
) -> None:
    """DSPy shows the model its own faults, and gives up on ours."""
    interpreter, _ = make(end)
    with pytest.raises(error) as caught:
        interpreter.execute("code")
    assert said in str(caught.value)
    assert type(caught.value) is error


def test_blocks_run_again_before_the_next(make: Make) -> None:
    """State is kept so, also that of a block that failed; every call is to the sandbox and may run again."""
    interpreter, sandbox = make({}, {"error": "E", "error_type": "E"}, {})
    interpreter.execute("one")
    with pytest.raises(CodeExecutionError):
        interpreter.execute("two")
    interpreter.execute("three")
    assert sandbox.codes() == ["one", "two", "three"]
    assert {(call.op, call.pool, call.idempotent) for call in sandbox.calls} == {("code.run", "sandbox", True)}
    assert len({call.args["seed"] for call in sandbox.calls}) == 1


@pytest.mark.parametrize(
    "end",
    [DeadlineExceeded("late"), {"error": "E", "error_type": "Ended"}, {"error": "E", "error_type": "MemoryError"}],
)
def test_a_block_that_was_ended_is_forgotten(make: Make, end: Outcome | LabError) -> None:
    """It would be ended again."""
    interpreter, sandbox = make(end, {})
    with pytest.raises(CodeExecutionError):
        interpreter.execute("one")
    interpreter.execute("two")
    assert sandbox.codes() == ["two"]


def test_a_value_that_comes_with_every_block_travels_once(make: Make) -> None:
    """RLM gives its inputs to each block."""
    interpreter, sandbox = make({})
    for _ in range(3):
        interpreter.execute("code", {"text": "long", "n": 1})
    assert sandbox.calls[-1].args["values"] == ['"long"', "1"]
    assert [block["variables"] for block in sandbox.calls[-1].args["blocks"]] == [{"text": 0, "n": 1}] * 3


def test_what_is_no_data_is_refused(make: Make) -> None:
    """A variable that cannot travel is an error before anything runs."""
    interpreter, sandbox = make({})
    with pytest.raises(CodeInterpreterError, match="no plain data"):
        interpreter.execute("code", {"x": object()})
    assert sandbox.calls == []


def shout(text: str) -> str:
    return text.upper()


async def whisper(text: str) -> str:
    return text.lower()


def stumble(text: str) -> str:
    raise LookupError(text)


@pytest.mark.parametrize(
    ("tool", "answer"),
    [(shout, {"value": "HI"}), (whisper, {"value": "hi"}), (stumble, {"error": "LookupError: Hi"})],
)
def test_tools_run_at_home_and_the_block_again(make: Make, tool: Callable[..., Any], answer: Outcome) -> None:
    """The answer, or what the tool raised, goes with the second try."""
    wanted = {"name": "tool", "args": ["Hi"], "kwargs": {}}
    interpreter, sandbox = make({"tools": [wanted]}, {"output": "done"}, tools={"tool": tool})
    assert interpreter.execute("code") == "done"
    assert sandbox.calls[0].args["tools"] == ["tool"]
    assert sandbox.calls[1].args["answers"] == [{**wanted, **answer}]
    assert sandbox.codes() == ["code"]


def test_a_tool_that_there_is_not_is_an_error_of_the_code(make: Make) -> None:
    """Who forges an answer reaches nothing."""
    wanted = {"name": "os.system", "args": ["true"], "kwargs": {}}
    interpreter, sandbox = make({"tools": [wanted]}, {})
    interpreter.execute("code")
    assert sandbox.calls[1].args["answers"] == [{**wanted, "error": "There is no tool 'os.system'."}]


def test_code_that_asks_for_ever_is_stopped(make: Make) -> None:
    """A block that never has the answers it wants comes to an end."""
    interpreter, _ = make({"tools": [{"name": "tool", "args": [], "kwargs": {}}]}, tools={"tool": int})
    with pytest.raises(CodeExecutionError, match="no end"):
        interpreter.execute("code")


def test_after_its_shutdown_it_runs_nothing(make: Make) -> None:
    """A new interpreter is needed then."""
    interpreter, sandbox = make({})
    interpreter.shutdown()
    with pytest.raises(CodeInterpreterError, match="shut down"):
        interpreter.execute("code")
    assert sandbox.calls == []
