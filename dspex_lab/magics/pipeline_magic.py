"""``%%pipeline``: a cell whose assignments are steps. Defines a pipeline, and runs it in a live panel if asked to."""

from __future__ import annotations

import io
import itertools
import token
import tokenize
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

from dspex_lab.errors import PipelineError
from dspex_lab.lab import Lab, current_lab
from dspex_lab.pipelines import Pipeline, Plan, Run, compile_cell
from dspex_lab.pipelines.source import excerpt
from dspex_lab.programs import start_run
from dspex_lab.widgets import RunPanel

__all__ = ["PipelineLine", "define_pipeline", "parse_line", "show_run"]

_FLAGS = ("--run", "--background", "--dry-run")


@dataclass(frozen=True, slots=True)
class PipelineLine:
    """The first line of the cell: the pipeline's name, what to do with it, and the inputs as Python source."""

    name: str
    is_run: bool = False
    is_background: bool = False
    is_dry_run: bool = False
    inputs: dict[str, str] = field(default_factory=dict)


def define_pipeline(line: str, cell: str, namespace: MutableMapping[str, Any]) -> Pipeline | Plan | Run | None:
    """Define the pipeline of ``cell`` in ``namespace`` under the name in ``line``; run it when ``line`` says so.

    A run that was waited for is shown by its panel, and is the pipeline's ``last_run``.
    """
    asked = parse_line(line)
    lab = current_lab()
    made = compile_cell(cell, namespace=namespace, start=start_run, name=asked.name, line_offset=1)
    namespace[asked.name] = made
    lab.pipelines.replace(asked.name, made)
    if asked.is_dry_run:
        return made.plan
    if not asked.is_run:
        lab.start_in_background()
        return made
    run = made.submit(**_evaluate(asked, line, namespace))
    show_run(lab, run, is_background=asked.is_background)
    return run if asked.is_background else None


def show_run(lab: Lab, run: Run, *, is_background: bool = False) -> None:
    """Show ``run`` in a live panel in this cell and wait for its end; in the background, return at once.

    Raises the run's error; an interrupt cancels it.
    """
    panel = RunPanel(run.plan.name, on_cancel=run.cancel)
    panel.display()

    async def feed() -> None:
        async for event in run.events():
            panel.apply(event)

    fed = lab.portal.start(feed)
    if is_background:
        fed.add_done_callback(lambda _: panel.finish())
        return
    try:
        run.result()
    finally:
        panel.finish()


def parse_line(line: str) -> PipelineLine:
    """Read ``NAME [--run name=value ...] [--background] [--dry-run]``. Raises ``PipelineError`` with the place."""
    words = line.split(None, 1)
    name = words[0] if words and not words[0].startswith("-") else "pipeline"
    rest = line.strip()[len(name) :] if words and words[0] == name else line
    if not name.isidentifier():
        raise _fault(line, f"{name!r} is no name for a pipeline.", name, "Write one name, as in %%pipeline support.")
    flags = set()
    for flag in _FLAGS:
        head, found, tail = rest.partition(flag)
        if found and (not tail or tail[0].isspace()) and not _is_inside_text(head):
            flags.add(flag)
            rest = f"{head} {tail}"
    inputs = _split_inputs(rest.strip(), line)
    if inputs and "--run" not in flags and "--dry-run" not in flags:
        raise _fault(line, "Inputs are given, but the pipeline is not run.", next(iter(inputs)), "Add --run.")
    return PipelineLine(name, "--run" in flags, "--background" in flags, "--dry-run" in flags, inputs)


def _is_inside_text(head: str) -> bool:
    """Whether ``head`` ends inside a string literal."""
    try:
        list(tokenize.generate_tokens(io.StringIO(head).readline))
    except (tokenize.TokenError, SyntaxError):
        return True
    return head.count('"') % 2 == 1 or head.count("'") % 2 == 1


def _split_inputs(text: str, line: str) -> dict[str, str]:
    """``a=1 b="x y"`` as {"a": "1", "b": '"x y"'}: an input begins at each ``name=`` that is in no bracket."""
    if not text:
        return {}
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError) as error:
        raise _fault(
            line, f"The inputs cannot be read: {error.args[0]}.", text, "Write name=value, as in n=3."
        ) from None
    starts: list[tuple[str, int, int]] = []
    depth = 0
    for this, following in itertools.pairwise(tokens):
        if this.type == token.OP:
            depth += (this.string in "([{") - (this.string in ")]}")
        elif this.type == token.NAME and depth == 0 and following.string == "=":
            starts.append((this.string, this.start[1], following.end[1]))
    if not starts or starts[0][1] != 0:
        raise _fault(line, "That is no input.", text.split()[0], 'Write name=value, as in ticket="Hello".')
    ends = [start for _, start, _ in starts[1:]] + [len(text)]
    return {name: text[begin:end].strip() for (name, _, begin), end in zip(starts, ends, strict=True)}


def _evaluate(asked: PipelineLine, line: str, namespace: MutableMapping[str, Any]) -> dict[str, Any]:
    values = {}
    for name, source in asked.inputs.items():
        try:
            values[name] = eval(source, dict(namespace))  # noqa: S307 - the user's own line, as in every cell
        except Exception as error:
            raise _fault(
                line, f"The input {name} cannot be evaluated: {type(error).__name__}: {error}.", source, None
            ) from error
    return values


def _fault(line: str, message: str, part: str, hint: str | None) -> PipelineError:
    shown = f"%%pipeline {line}"
    place = shown.find(part, len("%%pipeline "))
    return PipelineError(message, where=excerpt(shown, 1, place + 1 if place >= 0 else None), hint=hint)
