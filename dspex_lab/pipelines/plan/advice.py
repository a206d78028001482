"""What can run, but hardly as it is meant: the warnings of a plan.

Pure: told with the user's line, before anything runs, and never in anybody's way. What cannot run is an error of
``compiler``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from dspex_lab.pipelines.plan.plan import Block, PlanInput, PlanStep, PlanWarning
from dspex_lab.pipelines.steps.fields import Write, can_flow, type_text
from dspex_lab.pipelines.steps.source import Source

__all__ = ["warnings_of"]

#: How alike two names must be for one to be taken for a slip of the other.
_LIKENESS = 0.8
#: In larger plans names are alike by design, and comparing them all would take long.
_MOST_NAMES = 400


def warnings_of(block: Block, inputs: Sequence[PlanInput], source: Source) -> tuple[PlanWarning, ...]:
    """The warnings of a whole plan, in the order of its steps; those of its inputs last."""
    found = [PlanWarning(message, step.name, source.where(step.path), hint) for step, message, hint in _of_block(block)]
    return (*found, *_of_inputs(block, inputs, source))


def _of_block(block: Block) -> Iterator[tuple[PlanStep, str, str]]:
    read = {(name, writer) for step in block.steps for name, writer in step.sources.items()}
    writers: dict[str, int] = {}
    for index, step in enumerate(block.steps):
        yield from _maybe_none(block, step)
        for name in step.write_names:
            before = writers.get(name)
            if before is not None and (name, before) not in read:
                other = block.steps[before]
                yield (
                    other,
                    f"Nobody reads {name} of {other.name} before {step.name} overwrites it.",
                    f"Leave {other.name} out, or give one of the fields another name.",
                )
            writers[name] = index
        for inner in step.blocks:
            yield from _of_block(inner)


def _maybe_none(block: Block, step: PlanStep) -> Iterator[tuple[PlanStep, str, str]]:
    """Fields that may be None, read as something that never is."""
    for one in step.reads:
        source = step.sources.get(one.name)
        if source is None or one.annotation is Any or can_flow(None, one.annotation):
            continue
        writer = block.steps[source]
        write = next(write for write in writer.writes if write.name == one.name)
        if not write.is_certain and not _says_none(write):
            reason = "fails" if writer.is_optional else "does not take the branch that writes it"
            kind = type_text(one.annotation)
            yield (
                step,
                f"{one.step or step.name} reads {one.name} as {kind}, and it is None when {writer.name} {reason}.",
                f"Let it be {kind} | None there, or have it written in every case.",
            )


def _says_none(write: Write) -> bool:
    return get_origin(write.annotation) is not None and type(None) in get_args(write.annotation)


def _of_inputs(block: Block, inputs: Sequence[PlanInput], source: Source) -> Iterator[PlanWarning]:
    """Inputs that are nearly called like a field: a slip makes an input of what should be read."""
    written = {name for step in block for name in step.write_names}
    if len(written) > _MOST_NAMES:
        return
    paths = {step.name: step.path for step in block}
    for one in inputs:
        for near in get_close_matches(one.name, _unlike(written, one.name), n=1, cutoff=_LIKENESS):
            reader = one.readers[0].step
            yield PlanWarning(
                f"{reader} reads {one.name}, which no step writes: it is an input.",
                reader,
                source.where(paths[reader]) if reader in paths else "",
                f"Did you mean {near!r}?",
            )


def _unlike(names: Iterable[str], name: str) -> list[str]:
    """The names that do not differ from ``name`` by a number or a plural only, as is often meant."""
    return sorted(other for other in names if _stem(other) != _stem(name))


def _stem(name: str) -> str:
    return "".join(letter for letter in name if not letter.isdigit()).rstrip("s_")
