"""One execution: tries, each with its own way, until one succeeds or no further try is allowed.

The waiting and counting around the pure decisions of ``retry`` and ``refusal``. Knows nothing of strategies.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from dspex_lab.backends.base import Backend
from dspex_lab.calls import Call, Chunk, LmSpec, Result, Usage
from dspex_lab.clock import Clock
from dspex_lab.errors import DeadlineExceeded, LabError, ValidationError
from dspex_lab.router.native import call_function, within
from dspex_lab.router.operation import Operation, Options, Outcome, RunContext, outputs_of
from dspex_lab.router.python_calls import BuildCall, CallSettings, choose_lm
from dspex_lab.router.refusal import feedback_for
from dspex_lab.router.retry import delay_s, should_retry
from dspex_lab.router.strategies import Decision

__all__ = [
    "Attempt",
    "NativeAttempt",
    "OnChunk",
    "PythonAttempt",
    "Task",
    "call_settings",
    "checked_outputs",
    "run_attempts",
    "see_call_through",
]

OnChunk = Callable[[Chunk], None]


@dataclass(slots=True)
class Task:
    """What is to be done, and what was spent on it so far: tries after the first, refused outputs, usage."""

    operation: Operation
    inputs: Mapping[str, Any]
    options: Options
    context: RunContext
    decision: Decision
    on_chunk: OnChunk | None
    clock: Clock
    started: float
    retries: int = 0
    refusals: int = 0
    feedback: str = ""
    spent: Usage = field(default_factory=Usage)
    first_token_s: float | None = None

    def remaining_s(self) -> float | None:
        """Seconds left of the step's time; None: no limit."""
        if self.options.timeout_s is None:
            return None
        return self.started + self.options.timeout_s - self.clock.monotonic()

    def take_chunk(self, chunk: Chunk) -> None:
        """Tell of one piece of streamed text."""
        if self.first_token_s is None:
            self.first_token_s = self.clock.monotonic() - self.started
        self.context.emit("token", field=chunk.field, text=chunk.text, sent_at=chunk.sent_at)
        if self.on_chunk is not None:
            self.on_chunk(chunk)


class Attempt(Protocol):
    """One try at a task, on one route."""

    async def __call__(self, task: Task) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class NativeAttempt:
    """A function in this process."""

    function: Callable[..., Any]

    async def __call__(self, task: Task) -> Outcome:
        begun = task.clock.monotonic()
        work = call_function(self.function, task.inputs)
        value = await within(task.clock, task.remaining_s(), work, name=task.operation.name)
        took_s = task.clock.monotonic() - begun
        task.context.emit("native.execute", operation=task.operation.name, duration_s=took_s)
        outputs = outputs_of(task.operation, value)
        return Outcome(outputs, task.decision.route, task.decision.target, run_s=took_s)


@dataclass(frozen=True, slots=True)
class PythonAttempt:
    """A call to a backend."""

    backend: Backend
    build: BuildCall
    default_lm: LmSpec

    async def __call__(self, task: Task) -> Outcome:
        settings = call_settings(task, self.default_lm)
        call = self.build(task.operation, task.inputs, settings)
        result = await see_call_through(task, self.backend, call, task.take_chunk)
        return Outcome(
            checked_outputs(task.operation, result.value),
            task.decision.route,
            task.decision.target,
            worker=result.worker,
            queue_s=result.queue_s,
            run_s=result.run_s,
            cached=result.cached,
        )


def call_settings(task: Task, default_lm: LmSpec) -> CallSettings:
    """What a call of ``task`` needs now."""
    return CallSettings(
        pool=task.decision.target,
        lm=choose_lm(task.options.lm, default_lm),
        timeout_s=task.remaining_s(),
        trace=task.context.trace,
        is_streaming=_is_streaming(task),
        feedback=task.feedback,
        needs=task.options.needs,
        priority=task.context.priority,
    )


async def see_call_through(task: Task, backend: Backend, call: Call, take: OnChunk) -> Result:
    """The result of ``call``, counted and told; ``take`` gets its chunks. Whatever ends the wait ends the call."""
    pending = backend.submit(call)
    is_over = False
    try:
        if call.stream:
            async for chunk in pending:
                take(chunk)
        result = await pending.result()
        is_over = True
    except LabError:
        is_over = True
        raise
    finally:
        if not is_over:
            pending.cancel()
    task.spent = task.spent + result.usage
    _tell(task, result)
    return result


async def run_attempts(task: Task, attempt: Attempt) -> Outcome:
    """Try until it works. Raises the last error; a function's own exceptions come through as they are."""
    while True:
        try:
            outcome = await attempt(task)
        except ValidationError as error:
            _prepare_refused(task, error)
        except LabError as error:
            await _wait_before_retry(task, error)
        else:
            return replace(outcome, usage=task.spent, retries=task.retries, first_token_s=task.first_token_s)
        task.retries += 1


def _prepare_refused(task: Task, error: ValidationError) -> None:
    """Let the model try again with the validator's words, or raise ``error``; what tools did is not done twice."""
    is_harmless = task.operation.is_idempotent and task.operation.checked is not None
    if not is_harmless or task.refusals >= task.options.output_retries:
        raise error
    task.refusals += 1
    task.feedback = feedback_for(error)


async def _wait_before_retry(task: Task, error: LabError) -> None:
    """Back off, or raise ``error``; what would end after the step's deadline is not begun."""
    policy = task.options.retry_policy
    # Refused outputs have a count of their own.
    done = task.retries - task.refusals
    if not should_retry(policy, error, retries_done=done, is_idempotent=task.operation.is_idempotent):
        raise error
    wait_s = delay_s(policy, retries_done=done, draw=random.random())  # noqa: S311 - jitter is no secret
    left_s = task.remaining_s()
    if left_s is not None and left_s <= wait_s:
        if isinstance(error, DeadlineExceeded):
            raise error
        raise DeadlineExceeded(
            f"{task.operation.name} had no time left to try again: {error.message}", hint=error.hint
        ) from error
    await task.clock.sleep(wait_s)


def _is_streaming(task: Task) -> bool:
    asked = task.options.stream
    return (task.context.is_streaming or task.on_chunk is not None) if asked is None else asked


def checked_outputs(operation: Operation, value: Any) -> Mapping[str, Any]:
    """The outputs of a call, those of a signature validated. Raises ``ValidationError``."""
    if operation.checked is None:
        return outputs_of(operation, value)
    names = [one.name for one in operation.checked.signature.outputs]
    given = {name: value[name] for name in names if name in value}
    return dict(operation.checked.validator.validate_outputs(given))


def _tell(task: Task, result: Result) -> None:
    usage = result.usage
    task.context.emit(
        "python.execute",
        operation=task.operation.name,
        route=str(task.decision.route),
        worker=result.worker,
        queue_s=result.queue_s,
        run_s=result.run_s,
        usage={
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cost": usage.cost,
            "lm_calls": usage.lm_calls,
        },
    )
