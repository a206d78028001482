"""Steps, plans, runs: the typed dataflow of a notebook."""

from __future__ import annotations

from dspex_lab.pipelines.batch import (
    Batch,
    BatchStarter,
    BatchState,
    BatchStatistics,
    BatchStore,
    MapOptions,
    StartBatch,
)
from dspex_lab.pipelines.cell import compile_cell
from dspex_lab.pipelines.desk import RunDesk
from dspex_lab.pipelines.history import History
from dspex_lab.pipelines.journal import Journal
from dspex_lab.pipelines.launcher import Launcher, LauncherStatistics, StartRun
from dspex_lab.pipelines.outcome.record import Record
from dspex_lab.pipelines.outcome.result import Metrics, RunResult, RunState, StepMetrics
from dspex_lab.pipelines.past_run import PastRun
from dspex_lab.pipelines.plan.compiler import compile_plan
from dspex_lab.pipelines.plan.plan import Plan, PlanWarning
from dspex_lab.pipelines.program import Pipeline, Program, RunStream, pipeline
from dspex_lab.pipelines.run.options import RunOptions
from dspex_lab.pipelines.run.question import Question
from dspex_lab.pipelines.run.run import Run
from dspex_lab.pipelines.run.telling import TextChunk
from dspex_lab.pipelines.run_table import run_table
from dspex_lab.pipelines.steps.asking import ask
from dspex_lab.pipelines.steps.constructors import (
    CONSTRUCTORS,
    chain_of_thought,
    each,
    module,
    native,
    parallel,
    predict,
    program_of_thought,
    react,
    template,
    when,
)
from dspex_lab.pipelines.steps.step import Step

__all__ = [
    "CONSTRUCTORS",
    "Batch",
    "BatchStarter",
    "BatchState",
    "BatchStatistics",
    "BatchStore",
    "History",
    "Journal",
    "Launcher",
    "LauncherStatistics",
    "MapOptions",
    "Metrics",
    "PastRun",
    "Pipeline",
    "Plan",
    "PlanWarning",
    "Program",
    "Question",
    "Record",
    "Run",
    "RunDesk",
    "RunOptions",
    "RunResult",
    "RunState",
    "RunStream",
    "StartBatch",
    "StartRun",
    "Step",
    "StepMetrics",
    "TextChunk",
    "ask",
    "chain_of_thought",
    "compile_cell",
    "compile_plan",
    "each",
    "module",
    "native",
    "parallel",
    "pipeline",
    "predict",
    "program_of_thought",
    "react",
    "run_table",
    "template",
    "when",
]
