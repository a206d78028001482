"""Steps of which the cell's text does not say all, and what they may turn out to be. Pure.

A fault counts only where it is there whatever these steps are: so the plan is made with each of the guises in which
they could take the fault away, and what all of these plans complain of is certain.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from dspex_lab.pipelines.steps.fields import Read, Write
from dspex_lab.pipelines.steps.step import Each, Leaf, Nested, Parallel, Step, When
from dspex_lab.router import Operation, Options
from dspex_lab.signatures import Assumed

__all__ = ["Unclear", "guises"]


@dataclass(frozen=True, slots=True)
class Unclear:
    """A step that reads nobody knows what. ``writes`` None: nor what it writes, unless it ``writes_its_name``;
    ``overwrites`` None: nor whether it may write what is there already. Not ``is_step``: perhaps it is none."""

    writes: tuple[str, ...] | None = None
    overwrites: bool | None = None
    writes_its_name: bool = False
    is_step: bool = True

    def called(self, name: str) -> Unclear:
        """The same under its name."""
        return replace(self, writes=(name,)) if self.writes_its_name else self


def guises(steps: Mapping[str, Step | Unclear], inputs: Iterable[str]) -> Iterator[Mapping[str, Step]]:
    """The steps in each of the guises that could matter; one only where all is clear. ``inputs`` are those that the
    pipeline is given."""
    clear = {name: step for name, step in steps.items() if not isinstance(step, Unclear)}
    if len(clear) == len(steps) and all(_is_clear(one) for step in clear.values() for one in _annotations(step)):
        yield clear
        return
    fields = _Fields(clear, inputs)
    for annotation in (Any, Any | None):  # what is not known may be None, or may not
        yield {
            name: _leaf((), step.writes or (), step.overwrites is True)
            if isinstance(step, Unclear)
            else _retyped(step, annotation)
            for name, step in steps.items()
            if not (isinstance(step, Unclear) and not step.is_step)
        }
    yield fields.with_readers(steps)
    yield fields.with_writers(steps)


class _Fields:
    """The fields of the clear steps."""

    def __init__(self, clear: Mapping[str, Step], inputs: Iterable[str]) -> None:
        self._written = {name: tuple(_writes(step, name)) for name, step in clear.items()}
        every = [write for writes in self._written.values() for write in writes]
        firm = {write.name for write in every if not write.overwrites}
        named = {read for step in clear.values() for read in _reads(step)} | {one.name for one in every} | set(inputs)
        #: Those that no clear step writes, and those that none writes first.
        self._outer = named - {one.name for one in every}
        self._open = named - firm

    def with_readers(self, steps: Mapping[str, Step | Unclear]) -> dict[str, Step]:
        """Each unclear step reads all that it can: what was written before it, and what comes from outside."""
        made: dict[str, Step] = {}
        before: set[str] = set()
        for name, step in steps.items():
            if isinstance(step, Unclear):
                may_overwrite = step.overwrites is not False
                own = step.writes or ()
                reads = (before | self._outer) - (set() if may_overwrite else set(own))
                made[name] = _leaf(sorted(reads), own, may_overwrite)
                before.update(own)
            else:
                made[name] = _retyped(step, Any)
                before.update(one.name for one in self._written[name])
        return made

    def with_writers(self, steps: Mapping[str, Step | Unclear]) -> dict[str, Step]:
        """Each unclear step writes all that it can: over what was written before it, and what nobody writes first."""
        made: dict[str, Step] = {}
        before: set[str] = set()
        for name, step in steps.items():
            if isinstance(step, Unclear):
                may_overwrite = step.overwrites is not False
                fields = before | self._open if may_overwrite else self._open - before
                names = sorted(fields) if step.writes is None else step.writes
                writes = tuple(Write(one, Any, may_overwrite and one in before) for one in names)
                made[name] = _leaf((), writes, may_overwrite)
                before.update(names)
            else:
                made[name] = _retyped(step, Any)
                before.update(one.name for one in self._written[name])
        return made


def _leaf(reads: Iterable[str], writes: Iterable[str | Write], overwrites: bool) -> Leaf:
    given = tuple(Write(one, Any, overwrites) if isinstance(one, str) else one for one in writes)
    operation = Operation("native", "native", tuple(one.name for one in given))
    return Leaf(operation, Options(), tuple(map(Read, reads)), given, overwrites)


def _is_clear(annotation: Any) -> bool:
    """Whether the type holds nothing of which the notebook's text says the name only."""
    if annotation is Assumed or isinstance(annotation, enum.Enum | enum.EnumMeta):
        return False
    parts = annotation if isinstance(annotation, list) else get_args(annotation)
    return all(map(_is_clear, parts))


def _retyped(step: Step, unclear: Any) -> Step:
    """The step with ``unclear`` in the place of each type that is not clear."""
    if isinstance(step, Leaf):
        reads = tuple(replace(one, annotation=_typed(one.annotation, unclear)) for one in step.reads)
        writes = step.writes and tuple(replace(one, annotation=_typed(one.annotation, unclear)) for one in step.writes)
        return replace(step, reads=reads, writes=writes, returns=_typed(step.returns, unclear))
    if isinstance(step, Parallel | Nested):
        return replace(step, steps={name: _retyped(inner, unclear) for name, inner in step.steps.items()})
    if isinstance(step, When):
        other = None if step.otherwise is None else _retyped(step.otherwise, unclear)
        return replace(step, then=_retyped(step.then, unclear), otherwise=other)
    return replace(step, step=_retyped(step.step, unclear))


def _typed(annotation: Any, unclear: Any) -> Any:
    return annotation if _is_clear(annotation) else unclear


def _leaves(step: Step, field: str) -> Iterator[tuple[Leaf, str]]:
    """The operations in a step, each with the field that it writes when it does not say."""
    if isinstance(step, Leaf):
        yield step, field
    elif isinstance(step, Parallel | Nested):
        for name, inner in step.steps.items():
            yield from _leaves(inner, name)
    elif isinstance(step, When):
        for branch in (step.then, step.otherwise):
            if branch is not None:
                yield from _leaves(branch, field)
    else:
        yield from _leaves(step.step, field)


def _annotations(step: Step) -> Iterator[Any]:
    for leaf, _ in _leaves(step, ""):
        yield leaf.returns
        yield from (one.annotation for one in leaf.reads)
        yield from (one.annotation for one in leaf.writes or ())


def _writes(step: Step, name: str) -> Iterator[Write]:
    for leaf, field in _leaves(step, name):
        yield from (Write(field, Any, leaf.overwrites),) if leaf.writes is None else leaf.writes


def _reads(step: Step) -> Iterator[str]:
    for leaf, _ in _leaves(step, ""):
        yield from (one.name for one in leaf.reads)
    yield from _looked_at(step)


def _looked_at(step: Step) -> Iterator[str]:
    """What the steps that hold others read themselves."""
    if isinstance(step, Parallel | Nested):
        for inner in step.steps.values():
            yield from _looked_at(inner)
    elif isinstance(step, When):
        yield from step.reads or ()
        for branch in (step.then, step.otherwise):
            if branch is not None:
                yield from _looked_at(branch)
    elif isinstance(step, Each):
        yield step.over
        yield from _looked_at(step.step)
