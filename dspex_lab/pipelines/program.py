"""What can be called: a :class:`Program` is one step by itself, a :class:`Pipeline` many.

Both are run in the same four ways; neither knows how a run goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cached_property
from typing import Any

from dspex_lab.pipelines.compiler import compile_plan
from dspex_lab.pipelines.graph import draw
from dspex_lab.pipelines.launcher import StartRun
from dspex_lab.pipelines.plan import Plan
from dspex_lab.pipelines.result import RunResult
from dspex_lab.pipelines.run import Run, TextChunk
from dspex_lab.pipelines.source import NO_SOURCE, Source
from dspex_lab.pipelines.steps import Leaf, Nested, Step, as_step

__all__ = ["Pipeline", "Program", "RunStream", "pipeline"]


class RunStream:
    """The streamed text of a run, for ``for`` and ``async for``; then ``.result``. Going away early, or leaving a
    ``with`` block, cancels the run."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @property
    def result(self) -> RunResult:
        """The run's result; waits for it."""
        return self.run.result()

    def close(self) -> None:
        """Cancel the run if it is not over."""
        self.run.cancel()

    def __iter__(self) -> Iterator[TextChunk]:
        try:
            yield from self.run.stream()
        finally:
            self._end()

    async def __aiter__(self) -> AsyncIterator[TextChunk]:
        try:
            async for chunk in self.run.stream():
                yield chunk
        finally:
            self._end()

    def _end(self) -> None:
        # The tape ends with the run; a reader that is here while the run goes on went away.
        self.run.cancel()

    def __enter__(self) -> RunStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Runnable:
    """The four ways to run a plan."""

    _start: StartRun
    _is_program = False
    #: The run that was begun last, or None.
    last_run: Run | None = None

    @property
    def plan(self) -> Plan:
        """Each of the two has its own way to it."""
        raise NotImplementedError

    def _check(self, inputs: Mapping[str, Any]) -> None:
        """Check the inputs in the words of what is called; the launcher checks them against the plan."""

    def submit(self, *, continue_on_error: bool = False, stream: bool = True, **inputs: Any) -> Run:
        """Begin a run and return at once. Inputs that do not fit are an error here, before anything runs."""
        self._check(inputs)
        self.last_run = self._start(
            self.plan, inputs, stream=stream, continue_on_error=continue_on_error, is_program=self._is_program
        )
        return self.last_run

    def __call__(self, **inputs: Any) -> RunResult:
        """Run and wait for the result; an interrupt cancels the run."""
        return self.submit(**inputs).result()

    async def acall(self, **inputs: Any) -> RunResult:
        """The same on an event loop; cancelling the task cancels the run."""
        return await self.submit(**inputs)

    def stream(self, **inputs: Any) -> RunStream:
        """Run, and iterate over the text as it comes; ``.result`` at the end."""
        return RunStream(self.submit(**inputs))


class Program(_Runnable):
    """One step that can be called: what ``lab.predict(signature)`` returns. In a pipeline it is that step.

    Raises the step's own error (``ValidationError``, ``ModelError``, ...) where a pipeline raises ``PipelineError``.
    """

    _is_program = True

    def __init__(self, step: Step, *, start: StartRun, name: str | None = None) -> None:
        self._step = step
        self._start = start
        self.name = name or _name_of(step)

    @property
    def step(self) -> Step:
        return self._step

    @property
    def plan(self) -> Plan:
        return self._plan

    @cached_property
    def _plan(self) -> Plan:
        return compile_plan(self.name, {self.name: self._step})

    def _check(self, inputs: Mapping[str, Any]) -> None:
        if isinstance(self._step, Leaf) and self._step.operation.signature is not None:
            self._step.operation.signature.validator.validate_inputs(dict(inputs))

    def __repr__(self) -> str:
        reads = ", ".join(one.name for one in self._plan.inputs)
        writes = ", ".join(one.name for one in self._plan.outputs)
        return f"<Program {self.name} [{self._step.kind}: {reads} -> {writes}]>"


class Pipeline(_Runnable):
    """Steps and their plan. Raises ``PipelineError`` when they do not fit together."""

    def __init__(self, name: str, steps: Mapping[str, Any], *, start: StartRun, source: Source = NO_SOURCE) -> None:
        self.name = name
        self.steps: Mapping[str, Step] = {key: as_step(value, key) for key, value in steps.items()}
        self.source = source
        self._start = start
        self._plan = compile_plan(name, self.steps, source=source)

    @property
    def step(self) -> Step:
        """The pipeline as a step of another."""
        return Nested(self.steps)

    @property
    def plan(self) -> Plan:
        return self._plan

    def __repr__(self) -> str:
        return repr(self._plan)

    def _repr_svg_(self) -> str:
        return draw(self._plan)


def pipeline(name: str = "pipeline", *, start: StartRun, **steps: Any) -> Pipeline:
    """A pipeline in plain Python: ``pipeline(triage=predict(Triage), reply=...)``."""
    return Pipeline(name, steps, start=start)


def _name_of(step: Step) -> str:
    if not isinstance(step, Leaf):
        return step.kind
    signature = step.operation.signature
    name = step.kind if signature is None or signature.name == "Signature" else signature.name
    if step.kind == "native":
        name = step.operation.name
    return name if name.isidentifier() else step.kind
