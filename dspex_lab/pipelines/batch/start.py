"""Begins batches: rows, plan, book and sink put together. What can be checked is checked before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from dspex_lab.calls import new_id
from dspex_lab.errors import ConfigurationError
from dspex_lab.pipelines.batch.batch import Batch
from dspex_lab.pipelines.batch.book import BatchBook
from dspex_lab.pipelines.batch.drive import Drive
from dspex_lab.pipelines.batch.fitting import fit
from dspex_lab.pipelines.batch.options import MapOptions
from dspex_lab.pipelines.batch.pace import first_pace, fixed_pace
from dspex_lab.pipelines.batch.reading import read_rows
from dspex_lab.pipelines.batch.result_row import ResultColumns
from dspex_lab.pipelines.batch.rows import open_rows
from dspex_lab.pipelines.batch.sinks import open_sink
from dspex_lab.pipelines.batch.store import BatchStore
from dspex_lab.pipelines.batch.trace import BatchTrace
from dspex_lab.pipelines.plan.plan import Plan
from dspex_lab.pipelines.run.options import RunOptions
from dspex_lab.pipelines.steps.step import Leaf
from dspex_lab.portal import Portal
from dspex_lab.router import Account, Router
from dspex_lab.telemetry import Recorder

__all__ = ["BatchStarter", "StartBatch"]


class StartBatch(Protocol):
    """How programs and pipelines begin a batch; :meth:`BatchStarter.begin` is one."""

    def __call__(
        self,
        plan: Plan,
        rows: Any,
        options: MapOptions,
        *,
        run_options: RunOptions,
        is_program: bool = False,
        shows_progress: bool = True,
    ) -> Batch: ...


class BatchStarter:
    """Begins batches on one portal. ``store`` is where they are written down, ``recorder`` what takes their spans;
    None: nowhere, and none are made."""

    def __init__(
        self, portal: Portal, router: Router, store: BatchStore | None = None, *, recorder: Recorder | None = None
    ) -> None:
        self._add_span = None if recorder is None else recorder.add_span
        self._portal = portal
        self._router = router
        self._store = store
        self._batches: list[Batch] = []

    def begin(
        self,
        plan: Plan,
        rows: Any,
        options: MapOptions,
        *,
        run_options: RunOptions,
        is_program: bool = False,
        shows_progress: bool = True,
    ) -> Batch:
        """Begin ``plan`` on every row, from any thread. Raises ``PipelineError`` for rows that cannot fit, and
        ``ConfigurationError`` for what cannot be resumed or written, before anything runs."""
        _refuse_own_source(rows, options.to)
        fitting = fit(plan, options.inputs)
        opened = open_rows(rows, fitting.types())
        if opened.columns is not None:
            fitting.check_columns(opened.columns)
        columns = ResultColumns.of(opened.columns or tuple(fitting.columns.values()), _output_names(plan, is_program))
        book = self._book(plan, options, run_options)
        sink = open_sink(columns, options.to, opened.frame)
        batch_id = new_id() if book is None else book.batch_id
        drive = Drive(
            plan,
            self._router,
            run_options.updated(stream=False),
            sink,
            first_pace() if options.concurrency is None else fixed_pace(options.concurrency),
            batch_id=batch_id,
            threads=self._portal.threads,
            trace=BatchTrace(batch_id, plan, self._router.clock, self._add_span),
            book=book,
            is_program=is_program,
            stops_at_error=options.on_error == "raise",
            account=None if options.budget is None else Account(options.budget, self._router.clock, whose="batch"),
        )
        batch = Batch(
            plan.name,
            batch_id,
            drive,
            sink,
            self._router.clock,
            total=opened.total,
            book=book,
            shows_progress=shows_progress,
        )
        self._batches = [one for one in self._batches if not one.is_over] + [batch]
        return batch.start_on(self._portal, read_rows(opened, fitting, book))

    @property
    def under_way(self) -> tuple[Batch, ...]:
        """The batches that are not over, oldest first."""
        return tuple(one for one in self._batches if not one.is_over)

    def stop_all(self) -> int:
        """Stop every batch under way; how many there were."""
        return sum(one.stop() for one in self.under_way)

    def close(self, *, timeout_s: float = 5.0) -> None:
        """Stop what is under way, and let go of the file: what is done is kept. Safe to call twice."""
        batches = self.under_way
        self.stop_all()
        for one in batches:
            one.wait(timeout_s)
        if self._store is not None:
            self._store.close()

    def _book(self, plan: Plan, options: MapOptions, run_options: RunOptions) -> BatchBook | None:
        if self._store is None or not (options.durable and run_options.journal):
            if options.resume:
                raise ConfigurationError("Batches are not written down here, so none goes on.", "resume", "False")
            return None
        found = self._store.go_on(plan, options.resume) if options.resume else None
        return found or self._store.begin(plan)

    def __repr__(self) -> str:
        return f"<BatchStarter [under way: {len(self.under_way)}]>"


def _output_names(plan: Plan, is_program: bool) -> tuple[str, ...]:
    """The fields that a row gives; those of a program are all of its step's."""
    step = plan.block.steps[0].step
    if is_program and isinstance(step, Leaf) and step.operation.checked is not None:
        return tuple(one.name for one in step.operation.checked.signature.outputs)
    return tuple(one.name for one in plan.outputs)


def _refuse_own_source(rows: Any, to: Path | None) -> None:
    if to is not None and isinstance(rows, str | Path) and Path(rows).absolute() == to.absolute():
        raise ConfigurationError(
            f"{to.name} cannot be read and written at a time.", "to", "another file", str(to), hint="Name another file."
        )
