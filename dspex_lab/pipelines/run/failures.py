"""What went wrong in a step, as an error for people: whose line it was, and what to try.

Pure mapping; knows nothing of how a run ends.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping

from dspex_lab.errors import DeadlineExceeded, LabError, PipelineError, PythonError
from dspex_lab.pipelines.plan.plan import Plan
from dspex_lab.pipelines.steps.source import user_line, worker_line

__all__ = ["as_lab_error", "as_pipeline_error", "late_error", "run_error"]


def as_lab_error(error: Exception, step: str, where: str = "") -> LabError:
    """A step's failure as a ``LabError``: those of the house as they are, a function's own as a ``PipelineError``
    with the user's line. ``where`` is the step's line, shown when nothing nearer is known."""
    if isinstance(error, LabError):
        return error
    told = PipelineError(
        f"{step} failed: {type(error).__name__}: {_first_line(error)}",
        step,
        (PythonError(str(error), _traceback(error), type(error).__name__),),
        where=user_line(error) or where,
        traceback=_traceback(error),
    )
    told.__cause__ = error
    return told


def as_pipeline_error(
    error: LabError, step: str | None, where: str = "", others: tuple[LabError, ...] = ()
) -> LabError:
    """The error of a whole run, from that of its ``step``."""
    if isinstance(error, PipelineError):
        return error
    text = error.traceback if isinstance(error, PythonError) else ""
    kind = f"{error.error_type}: " if isinstance(error, PythonError) and error.error_type else ""
    message = error.message if kind and error.message.startswith(kind) else f"{kind}{error.message}"
    told = PipelineError(
        f"{step} failed: {message}" if step else message,
        step,
        (error, *others),
        where=worker_line(text) or where,
        traceback=text,
        hint=error.hint,
        retryable=error.retryable,
    )
    told.__cause__ = error
    return told


def run_error(plan: Plan, error: BaseException, known: Mapping[str, LabError], *, is_program: bool) -> LabError:
    """The error of a run: a program's own as it is, a pipeline's with its step and all that failed, ``known`` by
    step."""
    failed = dict(known)
    step = next((name for name, one in failed.items() if one is error), None)
    where = next((plan.source.where(one.path) for one in plan.block if one.name == step), "")
    first = as_lab_error(error, plan.name) if isinstance(error, Exception) else LabError(str(error))
    if is_program:
        if isinstance(first, PythonError):
            first.where = first.where or worker_line(first.traceback)
        return first
    return as_pipeline_error(first, step, where, tuple(one for one in failed.values() if one is not error))


def late_error(pipeline: str, timeout_s: float) -> DeadlineExceeded:
    """A whole run has used up its time."""
    return DeadlineExceeded(
        f"The run of {pipeline} took longer than {timeout_s:g} s.", hint="Give it more with options(timeout_s=...)."
    )


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else "(no message)"


def _traceback(error: Exception) -> str:
    return "".join(traceback.format_exception(error))
