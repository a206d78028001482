"""``%%pipeline``: a cell whose assignments are steps. Defines a pipeline, and runs it in a live panel if asked to."""

from __future__ import annotations

import builtins
from collections.abc import MutableMapping
from concurrent import futures
from typing import Any

from dspex_lab.errors import PipelineError
from dspex_lab.errors.interrupts import shown_briefly
from dspex_lab.lab import Lab, current_lab
from dspex_lab.magics.pipeline_line import PipelineLine, line_fault, parse_line
from dspex_lab.pipelines import Pipeline, Plan, Run, compile_cell
from dspex_lab.pipelines.plan.inputs import check_inputs
from dspex_lab.programs import start_batch, start_run
from dspex_lab.widgets import follow, panel_for

__all__ = ["define_pipeline", "show_run"]

#: How long a run that has ended may take to be told to its panel, in seconds.
_FEED_GRACE_S = 2.0


def define_pipeline(line: str, cell: str, namespace: MutableMapping[str, Any]) -> Pipeline | Plan | Run | None:
    """Define the pipeline of ``cell`` in ``namespace`` under the name in ``line``; run it when ``line`` says so.

    A run that was waited for is shown by its panel, and is the pipeline's ``last_run``.
    """
    asked = parse_line(line)
    lab = current_lab()
    # Those that were made in Python, under names of their own, can be steps as well; a word of Python stays one.
    known = {name: lab.pipelines.find(name) for name in lab.pipelines if not hasattr(builtins, name)}
    made = compile_cell(
        cell,
        namespace={**known, **namespace},
        start=start_run,
        start_batch=start_batch,
        name=asked.name,
        line_offset=1,
    )
    namespace[asked.name] = made
    lab.pipelines.replace(asked.name, made)
    inputs = _evaluate(asked, line, namespace)
    if asked.is_dry_run:
        if inputs:
            check_inputs(made.plan, inputs)
        return made.plan
    if not (asked.is_run or asked.is_resume):
        lab.start_in_background()
        return made
    try:
        run = _resume(lab, made, inputs) if asked.is_resume else made.submit(**inputs)
        show_run(lab, run, is_background=asked.is_background)
    except KeyboardInterrupt as interrupt:
        shown_briefly(interrupt, f"the run of {made.name} was cancelled.")
        # Wherever it struck: what runs of this new pipeline is this cell's.
        for one in lab.launcher.runs:
            if one.plan is made.plan:
                one.cancel()
        raise
    return run if asked.is_background else None


def _resume(lab: Lab, made: Pipeline, inputs: dict[str, Any]) -> Run:
    """The newest unfinished run of the pipeline, gone on with."""
    past = lab.history.unfinished(made.name)
    if past is None:
        raise PipelineError(
            f"No run of {made.name} waits to be resumed.",
            hint=f"Begin one: %%pipeline {made.name} --run. %lab runs shows those that there were.",
        )
    run = past.resume(**inputs)
    made.adopt(run)
    return run


def show_run(lab: Lab, run: Run, *, is_background: bool = False) -> None:
    """Show ``run`` in a live panel in this cell and wait for its end; in the background, return at once.

    Raises the run's error; an interrupt cancels it.
    """
    panel = panel_for(lab, run)
    fed: futures.Future[None] | None = None
    try:
        panel.display()
        run.is_shown = panel.is_live
        fed = follow(lab, run, panel, ends_panel=is_background)
        if is_background:
            return
        run.result()
    except KeyboardInterrupt:
        run.cancel()  # first of all: the panel waits for the run's end
        if fed is None:  # it struck before anybody told the panel of the run
            for event in run.events():
                panel.apply(event)
        raise
    finally:
        if not is_background:
            if fed is not None:
                # A short run is over before its first event reached the panel.
                futures.wait([fed], timeout=_FEED_GRACE_S)
            panel.finish()


def _evaluate(asked: PipelineLine, line: str, namespace: MutableMapping[str, Any]) -> dict[str, Any]:
    values = {}
    for name, source in asked.inputs.items():
        try:
            values[name] = eval(source, dict(namespace))  # noqa: S307 - the user's own line, as in every cell
        except Exception as error:
            message = f"The input {name} cannot be evaluated: {type(error).__name__}: {error}."
            raise line_fault(line, message, asked.places[name], None) from error
    return values
