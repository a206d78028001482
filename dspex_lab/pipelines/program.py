"""What can be called: a :class:`Program` is one step by itself, a :class:`Pipeline` many.

Both are run in the same four ways; neither knows how a run goes on.
"""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from copy import copy
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Self

from dspex_lab.errors import ConfigurationError
from dspex_lab.pipelines.batch import MapOptions, StartBatch
from dspex_lab.pipelines.batch.options import OnError
from dspex_lab.pipelines.launcher import StartRun
from dspex_lab.pipelines.outcome.result import RunResult
from dspex_lab.pipelines.plan.compiler import compile_plan
from dspex_lab.pipelines.plan.graph import draw, draw_page
from dspex_lab.pipelines.plan.overrides import overridden
from dspex_lab.pipelines.plan.plan import Plan, PlanWarning
from dspex_lab.pipelines.run.options import RunOptions
from dspex_lab.pipelines.run.run import Run
from dspex_lab.pipelines.run.telling import TextChunk
from dspex_lab.pipelines.steps.source import NO_SOURCE, Source
from dspex_lab.pipelines.steps.step import Leaf, Nested, Step, as_step
from dspex_lab.router import Budget

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


class _Latest:
    """The run that was begun last, of a runnable and of its copies with other options."""

    run: Run | None = None


class _Runnable(abc.ABC):
    """The ways to run a plan: once in four ways, and on many rows."""

    _start: StartRun
    _latest: _Latest
    _run_options = RunOptions()
    #: The plan with the options of single steps; None: the plan itself.
    _chosen_plan: Plan | None = None
    _is_program = False
    _start_batch: StartBatch | None = None
    name: str

    @property
    def plan(self) -> Plan:
        """What is run, with the options that were chosen for single steps."""
        return self._chosen_plan or self._own_plan()

    @property
    def last_run(self) -> Run | None:
        """The run that was begun last, with whatever options, or None."""
        return self._latest.run

    def options(self, **run_options: Any) -> Self:
        """The same with other options for its runs: ``timeout_s`` of a whole run, ``continue_on_error``, ``stream``,
        and ``steps``, which has options for single steps by name::

            support.options(timeout_s=60, steps={"triage": {"lm": "openai/x", "timeout_s": 5}})(ticket="...")

        An option or a step that is not known is an error here.
        """
        options = self._run_options.updated(**run_options)
        made = copy(self)
        vars(made).update(_run_options=options, _chosen_plan=overridden(self._own_plan(), options.steps))
        return made

    def map(
        self,
        rows: Any,
        /,
        *,
        concurrency: int | None = None,
        on_error: OnError = "record",
        to: str | PathLike[str] | None = None,
        resume: bool | str = False,
        inputs: Mapping[str, str] | None = None,
        durable: bool = True,
        budget: Budget | None = None,
        progress: bool = True,
        wait: bool = True,
    ) -> Any:
        """Run on every row, many at a time, and give a DataFrame: the rows, their outputs, and a column ``error``.

        ``rows`` is a DataFrame (its index is kept) or Series, a list or any iterator of dicts (of plain values where
        there is one input), or a CSV, JSONL or Parquet file. Columns that are called like inputs are those; ``inputs``
        names others: ``{"column": "input"}``. With ``to="results.csv"`` (.jsonl, .parquet) results are written there as
        they come, in the rows' order, and the path is given: rows and results are never all in memory.

        As many rows are under way as what is called can take, which is found out, or ``concurrency``. A row that fails
        has its error beside it, or ends the batch with ``on_error="raise"``. Each row that is done is written down,
        unless ``durable=False``: ``resume=True`` goes on with the latest batch of this pipeline, a batch's id with that
        one, and only rows that are new or failed are run. An interrupt stops the batch, and gives what there is. So
        does the end of a ``budget`` that all rows pay from.

        With ``wait=False`` it goes on behind the cell: a :class:`Batch`, for ``result()``, ``await``, ``stop()``,
        ``cancel()``, ``so_far()`` and ``statistics()``. ``progress`` shows a bar where one waits. Iterators are read on
        another thread.

        ``lab.trace(batch.id)`` shows the batch with its rows, and their steps and calls beneath them: the first fifty,
        then as many as take next to none of its time, a thousand at most; and of the others up to a thousand that
        failed, without their steps. The batch's span says how many rows were left out.
        """
        if self._start_batch is None:
            raise ConfigurationError(f"{self.name} was made without a way to run batches.", "start_batch")
        options = MapOptions(
            concurrency, on_error, Path(to) if to else None, resume, dict(inputs or {}), durable, budget
        )
        batch = self._start_batch(
            self.plan,
            rows,
            options,
            run_options=self._run_options,
            is_program=self._is_program,
            shows_progress=progress,
        )
        return batch.result() if wait else batch

    @abc.abstractmethod
    def _own_plan(self) -> Plan:
        """Each of the two has its own way to it."""

    @abc.abstractmethod
    def _check(self, inputs: Mapping[str, Any]) -> None:
        """Check the inputs in the words of what is called; the launcher checks them against the plan."""

    def submit(self, /, *, continue_on_error: bool | None = None, stream: bool | None = None, **inputs: Any) -> Run:
        """Begin a run and return at once. Inputs that do not fit are an error here, before anything runs.

        ``continue_on_error`` and ``stream`` go before what :meth:`options` says."""
        self._check(inputs)
        chosen = {"continue_on_error": continue_on_error, "stream": stream}
        options = self._run_options
        if any(value is not None for value in chosen.values()):
            options = options.updated(**{name: value for name, value in chosen.items() if value is not None})
        run = self._start(self.plan, inputs, options=options, is_program=self._is_program)
        self._latest.run = run
        return run

    def adopt(self, run: Run) -> None:
        """Make ``run``, which was resumed, the last one."""
        self._latest.run = run

    def __call__(self, /, **inputs: Any) -> RunResult:
        """Run and wait for the result; an interrupt cancels the run."""
        return self.submit(**inputs).result()

    async def acall(self, /, **inputs: Any) -> RunResult:
        """The same on an event loop; cancelling the task cancels the run."""
        return await self.submit(**inputs)

    def stream(self, /, **inputs: Any) -> RunStream:
        """Run, and iterate over the text as it comes; ``.result`` at the end."""
        return RunStream(self.submit(**inputs))


class Program(_Runnable):
    """One step that can be called: what ``lab.predict(signature)`` returns. In a pipeline it is that step.

    Raises the step's own error (``ValidationError``, ``ModelError``, ...) where a pipeline raises ``PipelineError``.
    """

    _is_program = True

    def __init__(
        self, step: Step, *, start: StartRun, start_batch: StartBatch | None = None, name: str | None = None
    ) -> None:
        self._step = step
        self._start = start
        self._start_batch = start_batch
        self._latest = _Latest()
        self.name = name or _name_of(step)

    @property
    def step(self) -> Step:
        return self._step

    def _own_plan(self) -> Plan:
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

    def __init__(
        self,
        name: str,
        steps: Mapping[str, Any],
        *,
        start: StartRun,
        start_batch: StartBatch | None = None,
        source: Source = NO_SOURCE,
        warnings: Iterable[PlanWarning] = (),
    ) -> None:
        self.name = name
        self._start_batch = start_batch
        self.steps: Mapping[str, Step] = {key: as_step(value, key) for key, value in steps.items()}
        self.source = source
        self._start = start
        self._latest = _Latest()
        self._plan = compile_plan(name, self.steps, source=source, warnings=warnings)

    @property
    def step(self) -> Step:
        """The pipeline as a step of another."""
        return Nested(self.steps)

    def _check(self, inputs: Mapping[str, Any]) -> None:
        """A pipeline has no words of its own for them."""

    def _own_plan(self) -> Plan:
        return self._plan

    def __repr__(self) -> str:
        return repr(self._plan)

    def _repr_svg_(self) -> str:
        return draw(self.plan)

    def _repr_html_(self) -> str:
        return draw_page(self.plan)


def pipeline(
    name: str = "pipeline", *, start: StartRun, start_batch: StartBatch | None = None, **steps: Any
) -> Pipeline:
    """A pipeline in plain Python: ``pipeline(triage=predict(Triage), reply=...)``."""
    return Pipeline(name, steps, start=start, start_batch=start_batch)


def _name_of(step: Step) -> str:
    if not isinstance(step, Leaf):
        return step.kind
    signature = step.operation.signature
    name = step.kind if signature is None or signature.name == "Signature" else signature.name
    if step.kind == "native":
        name = step.operation.name
    return name if name.isidentifier() else step.kind
