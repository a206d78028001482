"""The public functions that make programs, pipelines and runs on the current lab.

Thin: steps are made by ``pipelines``, and the lab is asked for only when something is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from dspex_lab import pipelines
from dspex_lab.errors import ConfigurationError, ValidationError
from dspex_lab.lab import current_lab
from dspex_lab.pipelines import Batch, MapOptions, PastRun, Pipeline, Plan, Program, Run, RunResult, Step, run_table
from dspex_lab.router import LabStatistics
from dspex_lab.sessions import Session
from dspex_lab.signatures import CompiledSignature, compile_signature
from dspex_lab.telemetry import Observer

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ask",
    "chain_of_thought",
    "each",
    "module",
    "native",
    "on",
    "parallel",
    "pipeline",
    "predict",
    "program_of_thought",
    "react",
    "run",
    "run_pipeline",
    "runs",
    "session",
    "signature",
    "start_batch",
    "start_run",
    "statistics",
    "template",
    "traces",
    "validate",
    "when",
]


def start_run(plan: Plan, inputs: Mapping[str, Any], **options: Any) -> Run:
    """Begin a run of ``plan`` on the lab that is current now."""
    return current_lab().launcher.start(plan, inputs, **options)


def start_batch(plan: Plan, rows: Any, options: MapOptions, **settings: Any) -> Batch:
    """Begin ``plan`` on many rows, on the lab that is current now."""
    return current_lab().batches.begin(plan, rows, options, **settings)


def _program(step: Step) -> Program:
    return Program(step, start=start_run, start_batch=start_batch)


def signature(source: str, *, name: str = "Signature", namespace: Mapping[str, Any] | None = None) -> CompiledSignature:
    """Read and compile a signature, in DSPy's string form or in that of a ``%%signature`` cell.

    ``namespace`` holds the classes that it may name. Raises ``SignatureError``.
    """
    return compile_signature(source, name=name, namespace=namespace)


def validate(
    data: Any,
    against: Any,
    *,
    side: Literal["inputs", "outputs"] = "outputs",
    namespace: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``data`` with the types of one side of the signature. Raises ``ValidationError``, one entry for each fault, and
    ``ConfigurationError`` for another ``side``."""
    compiled = compile_signature(against, namespace=namespace)
    checks = {"inputs": compiled.validator.validate_inputs, "outputs": compiled.validator.validate_outputs}
    if side not in checks:
        raise ConfigurationError(
            f"A signature has no side {side!r}.",
            "side",
            "inputs or outputs",
            str(side),
            hint='side="inputs" checks those.',
        )
    if not isinstance(data, Mapping):
        example = ", ".join(f'"{one.name}": ...' for one in getattr(compiled, side))
        raise ValidationError(
            f"What is to be checked is a {type(data).__name__}, and no mapping of names to values.",
            hint=f"Write {{{example}}}.",
        )
    return dict(checks[side](dict(data)))


def predict(signature: Any, **options: Any) -> Program:
    """A program that asks a language model for the outputs of ``signature``: ``predict(sig)(**inputs)``.

    Options: ``demos`` (solved examples, as mappings), ``instructions``, ``adapter`` ("auto", "chat" or "json"),
    ``namespace``, and those of every step: ``lm`` ("provider/name"), ``pool``, ``timeout_s`` (seconds), ``retry``
    (tries beside the first), ``fallback``, ``cache``, ``stream``, ``route``, ``output_retries``, ``needs``,
    ``overwrite``, ``optional``. An optimized ``dspy.Predict`` as the signature keeps its demos and instructions.

    Raises ``SignatureError`` and ``ConfigurationError``; when it is called ``ValidationError``, ``ModelError``,
    ``DeadlineExceeded``, ``Cancelled``.
    """
    return _program(pipelines.predict(signature, **options))


def chain_of_thought(signature: Any, **options: Any) -> Program:
    """Like :func:`predict`, with the model's ``reasoning`` first. Takes and raises the same."""
    return _program(pipelines.chain_of_thought(signature, **options))


def react(signature: Any, *, tools: Sequence[Callable[..., Any]], **options: Any) -> Program:
    """A program that lets a language model use ``tools`` (plain functions, run in a worker) until it knows, at most
    ``max_iters`` times. Takes a step's options, and raises what :func:`predict` does."""
    return _program(pipelines.react(signature, tools=tools, **options))


def program_of_thought(signature: Any, **options: Any) -> Program:
    """A program that lets a language model write code whose run in the pool ``sandbox`` gives the outputs, at most
    ``max_iters`` times. Takes a step's options, and raises what :func:`predict` does."""
    return _program(pipelines.program_of_thought(signature, **options))


def module(program: Any, *, signature: Any = None, **options: Any) -> Program:
    """A ``dspy.Module`` of your own, or its dotted name, run in a worker. ``signature`` says what goes in and comes
    out; it may be left out where the module has one predictor. Takes a step's options. Raises ``SignatureError``; what
    the module raises comes as ``PythonError``, with the worker's traceback."""
    return _program(pipelines.module(program, signature=signature, **options))


def native(function: Callable[..., Any] | str, **options: Any) -> Program:
    """A plain or asynchronous function as a program: right here, or in a worker with ``pool=``. Its parameters are its
    inputs (or ``reads=[...]``, by position); what it returns is the output, named ``writes=`` or as the step. Takes a
    step's options. Raises ``PipelineError`` with the user's own line where the function does."""
    return _program(pipelines.native(function, **options))


def template(text: str, **options: Any) -> Program:
    """A Jinja2 template as a program; its variables are its inputs, its text is the output, named ``writes=`` or as the
    step. Raises ``TemplateError``, with the line."""
    return _program(pipelines.template(text, **options))


def ask(question: str, **options: Any) -> Program:
    """A question to people, in the form of the run's panel or by ``run.answer(...)``; what they fill in is what it
    writes. Options: ``shows`` (names of fields), ``answer`` ("approved: bool, comment: str = ''"), ``default``,
    ``timeout_s`` (seconds), ``namespace``, ``overwrite``. Raises ``SignatureError`` and ``ConfigurationError``."""
    return _program(pipelines.ask(question, **options))


def parallel(*, optional: bool = False, **steps: Any) -> Program:
    """Steps that run at the same time; where one fails, an optional parallel leaves None in all of their fields. Raises
    ``PipelineError`` for what is no step."""
    return _program(pipelines.parallel(optional=optional, **steps))


def when(condition: Callable[[Any], Any], *, then: Any, otherwise: Any = None, optional: bool = False) -> Program:
    """``then`` if ``condition(fields)`` holds, else ``otherwise``: ``when(lambda s: s.urgency >= 4, then=...)``. What
    the branch does not write is None. Raises ``PipelineError`` for what is no function or no step."""
    return _program(pipelines.when(condition, then=then, otherwise=otherwise, optional=optional))


def each(step: Any, *, over: str, **options: Any) -> Program:
    """``step`` for every item of the list in the field ``over``, ``concurrency`` (8) at a time; its outputs are lists.
    ``item`` names the input that takes the item. Raises ``PipelineError`` and ``ConfigurationError``."""
    return _program(pipelines.each(step, over=over, **options))


def pipeline(name: str = "pipeline", **steps: Any) -> Pipeline:
    """A pipeline of the named ``steps``, known to :func:`run_pipeline` by its name. Raises ``PipelineError`` for inputs
    that nobody writes, and types that do not fit, before anything runs."""
    made = pipelines.pipeline(name, start=start_run, start_batch=start_batch, **steps)
    current_lab().pipelines.replace(name, made)
    return made


def run_pipeline(which: str | Pipeline, **inputs: Any) -> RunResult:
    """Run a pipeline, or the one of that name, and wait for its result; an interrupt cancels it. Raises
    ``PipelineError``, with the step and its line, and ``ConfigurationError`` for a name that is not known."""
    chosen = which if isinstance(which, Pipeline) else current_lab().pipelines.find(which)
    return chosen(**inputs)


def runs(*, limit: int | None = None) -> pd.DataFrame:
    """The runs of pipelines, of this notebook and of all others, the newest first: id, pipeline, state, started,
    duration (seconds), steps, tokens, error; at most ``limit`` (None: all that are kept). A run whose process died
    shows as "interrupted"; ``run(id).resume()`` goes on."""
    return run_table(current_lab().history.records(limit=limit))


def run(run_id: str) -> Run | PastRun:
    """The run with this id, or with the one that begins so: under way or over in this process, else what was written
    down of it, with ``resume()``. Raises ``ConfigurationError`` when there is none, and when there are several."""
    return current_lab().history.run(run_id)


def session(*, pool: str = "general", idle_expiry_s: float = 600.0, timeout_s: float | None = None) -> Session:
    """A worker for oneself, with state that stays in it from call to call: ``with lab.session() as session:
    session.call(function, ...)``. It ends when it is closed, and after ``idle_expiry_s`` seconds without a call;
    ``timeout_s`` holds for each call. Calls raise ``SessionLost`` once it has ended."""
    return current_lab().session(pool=pool, idle_expiry_s=idle_expiry_s, timeout_s=timeout_s)


def traces(limit: int = 100) -> pd.DataFrame:
    """The latest traces of all notebooks, at most ``limit``, newest first: trace, name, started (UTC), duration_s,
    spans, errors. A trace is a cell with all that was begun in it, or a run outside of one. Starts no host."""
    return current_lab().traces(limit)


def on(event: str, observer: Observer) -> Callable[[], None]:
    """Call ``observer(event)`` for each event of that name from now on: ``lab.on("router.retry", print)``; ``"*"`` and
    ``"router.*"`` are several. The returned function detaches it; one that raises is detached by itself. Raises
    ``ConfigurationError`` where no event is called so."""
    return current_lab().on(event, observer)


def statistics() -> LabStatistics:
    """What the lab did so far: its ``routes``, ``retries``, ``circuits``, ``caches`` and ``budgets`` are tables, and
    so are the ``calls``, ``steps``, ``history`` and ``workers`` of the host, for all notebooks, where one lives."""
    return current_lab().statistics()
