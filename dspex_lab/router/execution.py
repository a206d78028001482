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
from dspex_lab.errors import DeadlineExceeded, LabError, ModelError, ValidationError
from dspex_lab.router.blame import Verdict, judge
from dspex_lab.router.breaker import Breaker
from dspex_lab.router.native import call_function, within
from dspex_lab.router.operation import Operation, Options, Outcome, RunContext, outputs_of
from dspex_lab.router.python_calls import BuildCall, CallSettings, choose_lm
from dspex_lab.router.refusal import feedback_for
from dspex_lab.router.retry import asked_wait_s, should_retry, wait_before_retry_s
from dspex_lab.router.strategies import Decision
from dspex_lab.telemetry.spans import below

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
    """What is to be done, and what was spent on it so far: tries after the first, refused outputs, usage.

    ``deadline`` is when the step's time is over, on the clock's monotonic scale; ``breaker`` guards the target.
    """

    operation: Operation
    inputs: Mapping[str, Any]
    options: Options
    context: RunContext
    decision: Decision
    on_chunk: OnChunk | None
    clock: Clock
    started: float
    deadline: float | None = None
    breaker: Breaker | None = None
    #: The inputs have been found to fit: from here on it is not the caller's fault.
    has_begun: bool = False
    retries: int = 0
    retried: dict[str, int] = field(default_factory=dict)
    refusals: int = 0
    feedback: str = ""
    spent: Usage = field(default_factory=Usage)
    first_token_s: float | None = None
    #: Where the task itself is in its trace; each try after the first has a place of its own below it.
    outer: RunContext = field(init=False)

    def __post_init__(self) -> None:
        self.outer = self.context

    def remaining_s(self) -> float | None:
        """Seconds left of the step's time, and of the run's; None: no limit."""
        left_s = None if self.deadline is None else self.deadline - self.clock.monotonic()
        account = self.context.account
        run_left_s = None if account is None else account.remaining_s()
        if left_s is None or run_left_s is None:
            return run_left_s if left_s is None else left_s
        return min(left_s, run_left_s)

    def check_account(self) -> None:
        """Raise ``BudgetExceeded`` or ``DeadlineExceeded`` when the run may not use any more; a function uses time
        only."""
        account = self.context.account
        if account is not None:
            (account.check_time if self.operation.signature is None else account.check)()

    @property
    def is_streaming(self) -> bool:
        asked = self.options.stream
        return (self.context.is_streaming or self.on_chunk is not None) if asked is None else asked

    def outcome(
        self,
        outputs: Mapping[str, Any],
        worker: str = "",
        queue_s: float = 0.0,
        run_s: float = 0.0,
        *,
        is_cached: bool = False,
    ) -> Outcome:
        """How the task ended, with all that was spent on it."""
        return Outcome(
            outputs,
            self.decision.route,
            self.decision.target,
            self.spent,
            worker,
            queue_s,
            run_s,
            self.retries,
            is_cached,
            self.first_token_s,
        )

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
        try:
            value = await within(task.clock, task.remaining_s(), work, name=task.operation.name)
        except DeadlineExceeded:
            if task.context.account is not None:
                task.context.account.check_time()  # where it was the time of the whole run, that is said
            raise
        took_s = task.clock.monotonic() - begun
        task.context.emit("native.execute", operation=task.operation.name, duration_s=took_s)
        outputs = outputs_of(task.operation, value)
        return task.outcome(outputs, run_s=took_s)


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
        outputs = checked_outputs(task.operation, result.value)
        return task.outcome(outputs, result.worker, result.queue_s, result.run_s, is_cached=result.cached)


def call_settings(task: Task, default_lm: LmSpec) -> CallSettings:
    """What a call of ``task`` needs now."""
    return CallSettings(
        pool=task.decision.target,
        lm=choose_lm(task.options.lm, default_lm),
        timeout_s=task.remaining_s(),
        trace=task.context.trace,
        is_streaming=task.is_streaming,
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
    if task.context.account is not None:
        task.context.account.charge(result.usage)
    _tell(task, result)
    return result


async def run_attempts(task: Task, attempt: Attempt) -> Outcome:
    """Try until it works. Raises the last error; a function's own exceptions come through as they are."""
    while True:
        try:
            task.check_account()
            outcome = await (attempt(task) if task.breaker is None else _guarded(task, attempt, task.breaker))
        except ValidationError as error:
            _prepare_refused(task, error)
        except LabError as error:
            await _wait_before_retry(task, error)
        else:
            return outcome


async def _guarded(task: Task, attempt: Attempt, breaker: Breaker) -> Outcome:
    """One try, if the target's circuit lets it through; how it ends is noted there, and a change is told."""
    permit = breaker.admit()
    if permit.is_first_probe:
        _tell_circuit(task, breaker)
    verdict, said = Verdict.NEITHER, ""
    try:
        outcome = await attempt(task)
        verdict = Verdict.ANSWERED
        return outcome
    except LabError as error:
        verdict = judge(task.operation, error)
        said = error.message if verdict is Verdict.FAILED else ""
        raise
    finally:
        if breaker.record(permit, verdict, said=said):
            _tell_circuit(task, breaker)


def _prepare_refused(task: Task, error: ValidationError) -> None:
    """Let the model try again with the validator's words, or raise ``error``; what tools did is not done twice."""
    is_harmless = task.operation.is_idempotent and task.operation.checked is not None
    if not is_harmless or task.refusals >= task.options.output_retries:
        raise error
    task.refusals += 1
    task.feedback = feedback_for(error)
    _tell_retry(task, error, reason="the output breaks its signature", wait_s=0.0)


async def _wait_before_retry(task: Task, error: LabError) -> None:
    """Back off, or raise ``error``; what would end after the step's deadline is not begun."""
    policy = task.options.retry_policy
    # Refused outputs have a count of their own.
    done = task.retries - task.refusals
    if not should_retry(policy, error, retries_done=done, is_idempotent=task.operation.is_idempotent):
        raise error
    wait_s = wait_before_retry_s(policy, error, retries_done=done, draw=random.random())  # noqa: S311 - no secret
    left_s = task.remaining_s()
    if left_s is not None and left_s <= wait_s:
        if isinstance(error, DeadlineExceeded):
            raise error
        raise DeadlineExceeded(
            f"{task.operation.name} had no time left to try again: {error.message}", hint=error.hint
        ) from error
    _tell_retry(task, error, reason=error.message, wait_s=wait_s)
    await task.clock.sleep(wait_s)


def checked_outputs(operation: Operation, value: Any) -> Mapping[str, Any]:
    """The outputs of a call, those of a signature validated. Raises ``ValidationError``."""
    if operation.checked is None:
        return outputs_of(operation, value)
    names = [one.name for one in operation.checked.signature.outputs]
    given = {name: value[name] for name in names if name in value}
    return dict(operation.checked.validator.validate_outputs(given))


def _tell_retry(task: Task, error: LabError, *, reason: str, wait_s: float) -> None:
    """Count a retry and tell of it; what it does hangs under a span of its own."""
    task.retries += 1
    kind = type(error).__name__
    task.retried[kind] = task.retried.get(kind, 0) + 1
    trace = below(task.outer.trace)
    task.context = replace(task.outer, trace=trace)
    task.outer.emit(
        "router.retry",
        span=None if trace is None else trace.span_id,
        operation=task.operation.name,
        retry=task.retries,
        reason=reason,
        error_type=kind,
        status=error.status if isinstance(error, ModelError) else None,
        wait_s=wait_s,
        asked_s=asked_wait_s(error),
    )


def _tell_circuit(task: Task, breaker: Breaker) -> None:
    task.context.emit(
        "router.circuit",
        operation=task.operation.name,
        target=breaker.target,
        state=breaker.state.value,
        reason=breaker.reason,
    )


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
