"""From steps to a plan: which field comes from where, what waits for what, and every mistake in it.

Pure. A field that a step reads comes from the last step before it that writes it, else from a later step, else from
the pipeline's inputs. All mistakes are ``PipelineError`` s at the step's own line, and found before anything runs.
"""

from __future__ import annotations

import types
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dspex_lab.errors import PipelineError
from dspex_lab.pipelines.plan.advice import warnings_of
from dspex_lab.pipelines.plan.plan import Block, Plan, PlanInput, PlanStep, PlanWarning
from dspex_lab.pipelines.steps.fields import Read, Write, can_flow, type_text
from dspex_lab.pipelines.steps.source import NO_SOURCE, Source, StepPath
from dspex_lab.pipelines.steps.step import Each, Leaf, Nested, Parallel, Step, When

__all__ = ["compile_plan"]

Known = ChainMap[str, None]


def compile_plan(
    name: str, steps: Mapping[str, Step], *, source: Source = NO_SOURCE, warnings: Iterable[PlanWarning] = ()
) -> Plan:
    """The plan of the named ``steps``, in time linear in their number. Raises ``PipelineError``. ``warnings`` go before
    those that are found here."""
    if not steps:
        raise PipelineError(f"The pipeline {name} has no steps.", hint="Name one: answer = predict(...).")
    compiler = _Compiler(source)
    named = (_Named(step_name, step, (step_name,), step_name, None) for step_name, step in steps.items())
    block = compiler.block(named, Known(), are_siblings_apart=False)
    inputs = tuple(compiler.inputs(block))
    return Plan(name, block, inputs, source, (*warnings, *warnings_of(block, inputs, source)))


@dataclass(frozen=True, slots=True)
class _Named:
    """A step on its way into the plan; ``field`` is what it writes when it does not say."""

    name: str
    step: Step
    path: StepPath
    field: str
    parent: str | None


@dataclass(slots=True)
class _Draft:
    """A step with what it reads and writes, before it is known where that comes from."""

    name: str
    path: StepPath
    step: Step
    reads: tuple[Read, ...]
    writes: tuple[Write, ...]
    parent: str | None
    blocks: tuple[Block, ...]

    def planned(self, sources: Mapping[str, int]) -> PlanStep:
        return PlanStep(self.name, self.path, self.step, self.reads, self.writes, self.parent, sources, self.blocks)


class _Compiler:
    """One compilation: the source for errors, and the names that are taken."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names: set[str] = set()

    def error(self, message: str, path: StepPath, *, step: str, hint: str | None = None) -> PipelineError:
        return PipelineError(message, step, where=self._source.where(path), hint=hint)

    # --- one block ------------------------------------------------------------------------------------------------

    def block(self, named: Iterable[_Named], outer: Known, *, are_siblings_apart: bool) -> Block:
        """The steps of one block, resolved. ``outer`` are the fields known around it; siblings that are apart (in
        ``parallel``) may not read one another."""
        known = outer.new_child()
        inner = outer if are_siblings_apart else known
        drafts: list[_Draft] = []
        for one in named:
            draft = self._draft(one, inner)
            drafts.append(draft)
            inmost = known.maps[0]
            for read in draft.reads:
                inmost[read.name] = None
            for write in draft.writes:
                inmost[write.name] = None
        self._check_clashes(drafts, are_siblings_apart=are_siblings_apart)
        writers = _first_writers(drafts)
        resolved: list[PlanStep] = []
        before: dict[str, int] = {}
        for index, draft in enumerate(drafts):
            sources = self._sources(drafts, index, {} if are_siblings_apart else before, writers, are_siblings_apart)
            resolved.append(draft.planned(sources))
            for write in draft.writes:
                before[write.name] = index
        reads = tuple(read.by(one.name) for one in resolved for read in one.reads if read.name not in one.sources)
        last_writes = {write.name: write for one in resolved for write in one.writes}
        block = Block(tuple(resolved), reads, tuple(last_writes.values()), before, _inverse(resolved))
        self._check_cycles(block)
        return block

    def _draft(self, one: _Named, known: Known) -> _Draft:
        """The step with what it reads and writes, not resolved yet."""
        if one.name in self._names:
            raise self.error(
                f"There are two steps called {one.name}.", one.path, step=one.name, hint="Give one another name."
            )
        self._names.add(one.name)
        step = one.step
        blocks: tuple[Block, ...] = ()
        if isinstance(step, Leaf):
            step, reads, writes = self._leaf(one, step)
        elif isinstance(step, Parallel | Nested):
            is_apart = isinstance(step, Parallel)
            children = (
                _Named(_inside(one, name), child, (*one.path, name), name, one.name)
                for name, child in step.steps.items()
            )
            blocks = (self.block(children, known, are_siblings_apart=is_apart),)
            reads, writes = blocks[0].reads, blocks[0].writes
        elif isinstance(step, When):
            blocks, reads, writes = self._when(one, step, known)
        else:
            blocks, reads, writes = self._each(one, step, known)
        if step.is_optional:
            writes = tuple(replace(write, is_certain=False) for write in writes)
        return _Draft(one.name, one.path, step, reads, writes, one.parent, blocks)

    def _leaf(self, one: _Named, step: Leaf) -> tuple[Leaf, tuple[Read, ...], tuple[Write, ...]]:
        writes = step.writes
        if writes is None:
            writes = (Write(one.field, step.returns, step.overwrites, is_certain=not step.is_optional),)
            step = step.doing(step.operation.writing(one.field))
        return step, step.reads, writes

    def _when(
        self, one: _Named, step: When, known: Known
    ) -> tuple[tuple[Block, ...], tuple[Read, ...], tuple[Write, ...]]:
        branches = [("then", step.then), *([("otherwise", step.otherwise)] if step.otherwise is not None else [])]
        blocks = tuple(
            self.block(
                [_Named(f"{one.name}.{word}", child, (*one.path, word), one.field, one.name)],
                known,
                are_siblings_apart=False,
            )
            for word, child in branches
        )
        looked_at = tuple(known) if step.reads is None else step.reads
        reads = [Read(name, Any, step.reads is not None, step=one.name) for name in looked_at]
        writes: dict[str, Write] = {}
        for block in blocks:
            reads += block.reads
            for write in block.writes:
                is_certain = len(blocks) == 2 and all(_writes(other, write.name) for other in blocks)
                is_certain = is_certain and write.is_certain
                annotation = write.annotation if write.name not in writes else Any
                writes[write.name] = Write(write.name, annotation, write.overwrites, is_certain)
        # What may not be written lets the value through that was there before.
        kept = [Read(write.name, Any, is_required=False, step=one.name) for write in writes.values() if _keeps(write)]
        return blocks, tuple(reads + kept), tuple(writes.values())

    def _each(
        self, one: _Named, step: Each, known: Known
    ) -> tuple[tuple[Block, ...], tuple[Read, ...], tuple[Write, ...]]:
        child = _Named(f"{one.name}.item", step.step, (*one.path, "item"), one.field, one.name)
        block = self.block([child], known.new_child({step.item: None}), are_siblings_apart=False)
        items = [read for read in block.reads if read.name == step.item]
        if not items:
            raise self.error(
                f"{one.name} hands over each {step.item}, which its step does not read.",
                one.path,
                step=one.name,
                hint=f"The step reads {', '.join(dict.fromkeys(read.name for read in block.reads)) or 'nothing'}.",
            )
        annotation = _list_of(items[0].annotation)
        rest = tuple(read for read in block.reads if read.name != step.item)
        reads = (Read(step.over, annotation, step=one.name), *rest)
        writes = tuple(Write(write.name, _list_of(write.annotation), write.overwrites) for write in block.writes)
        return (block,), reads, writes

    # --- checks ---------------------------------------------------------------------------------------------------

    def _check_clashes(self, drafts: Sequence[_Draft], *, are_siblings_apart: bool) -> None:
        """Two steps that write one field, unless the later one overwrites it on purpose."""
        writers: dict[str, str] = {}
        for draft in drafts:
            reads = {read.name for read in draft.reads}
            for write in draft.writes:
                other = writers.get(write.name)
                if other is None and write.name in reads and not write.overwrites:
                    other = "the pipeline's inputs or a later step"
                if other is not None and (are_siblings_apart or not write.overwrites):
                    raise self.error(
                        f"{draft.name} writes {write.name}, which comes from {other} already.",
                        draft.path,
                        step=draft.name,
                        hint="Give one of them another name"
                        + ("." if are_siblings_apart else ", or say overwrite=True if that is meant."),
                    )
                writers[write.name] = draft.name

    def _sources(
        self,
        drafts: Sequence[_Draft],
        index: int,
        before: Mapping[str, int],
        writers: Mapping[str, int],
        are_siblings_apart: bool,
    ) -> dict[str, int]:
        draft = drafts[index]
        sources: dict[str, int] = {}
        for read in draft.reads:
            writer = before.get(read.name)
            if writer is None:
                writer = writers.get(read.name)
            if writer is None or writer == index:
                continue
            if are_siblings_apart:
                raise self.error(
                    f"{draft.name} reads {read.name}, which {drafts[writer].name} writes at the same time.",
                    draft.path,
                    step=draft.name,
                    hint=f"Move {draft.name} out of parallel.",
                )
            self._check_types(drafts[writer], draft, read)
            sources[read.name] = writer
        return sources

    def _check_types(self, writer: _Draft, reader: _Draft, read: Read) -> None:
        write = next(one for one in writer.writes if one.name == read.name)
        if not can_flow(write.annotation, read.annotation):
            raise self.error(
                f"{read.step or reader.name} reads {read.name} as {type_text(read.annotation)}, "
                f"and {writer.name} writes {type_text(write.annotation)}.",
                reader.path,
                step=reader.name,
                hint="Change one of the types, or put a native step between them.",
            )

    def _check_cycles(self, block: Block) -> None:
        steps = block.steps
        stuck = set(range(len(steps))).difference(block.order())
        if stuck:
            circle = _circle(steps, stuck)
            first = steps[min(circle)]
            raise self.error(
                f"These steps wait for one another: {' → '.join(steps[one].name for one in circle)}.",
                first.path,
                step=first.name,
                hint="One of them must read something else.",
            )

    def inputs(self, block: Block) -> Iterator[PlanInput]:
        """What the block reads from outside, by name. Readers that can never agree are an error."""
        readers: dict[str, list[Read]] = {}
        for read in block.reads:
            readers.setdefault(read.name, []).append(read)
        paths = {step.name: step.path for step in block}
        for name, reads in readers.items():
            for read in reads[1:]:
                first = reads[0]
                if not (can_flow(first.annotation, read.annotation) or can_flow(read.annotation, first.annotation)):
                    raise self.error(
                        f"{first.step} reads {name} as {type_text(first.annotation)}, "
                        f"and {read.step} as {type_text(read.annotation)}.",
                        paths[read.step],
                        step=read.step,
                        hint="No value is both: change one of the types.",
                    )
            yield PlanInput(name, tuple(reads))


def _inside(one: _Named, name: str) -> str:
    """A step inside ``parallel`` has its own name; inside a branch or a pipeline theirs stands before it."""
    branch = one.name if "." in one.name or isinstance(one.step, Nested) else ""
    return f"{branch}.{name}" if branch else name


def _first_writers(drafts: Sequence[_Draft]) -> dict[str, int]:
    """The first step to write each field; one that overwrites gives nothing to those before it."""
    writers: dict[str, int] = {}
    for index, draft in enumerate(drafts):
        for write in draft.writes:
            if not write.overwrites:
                writers.setdefault(write.name, index)
    return writers


def _inverse(steps: Sequence[PlanStep]) -> tuple[tuple[int, ...], ...]:
    needed_by: list[list[int]] = [[] for _ in steps]
    for index, step in enumerate(steps):
        for need in set(step.sources.values()):
            needed_by[need].append(index)
    return tuple(map(tuple, needed_by))


def _circle(steps: Sequence[PlanStep], stuck: Iterable[int]) -> list[int]:
    """One circle among the ``stuck`` steps, its first step again at its end."""
    left = set(stuck)
    index = min(left)
    walk: list[int] = []
    while index not in walk:
        walk.append(index)
        index = next(need for need in steps[index].needs if need in left)
    return [*walk[walk.index(index) :], index]


def _list_of(annotation: Any) -> Any:
    return types.GenericAlias(list, (annotation,))


def _writes(block: Block, name: str) -> bool:
    return any(write.name == name for write in block.writes)


def _keeps(write: Write) -> bool:
    return write.overwrites and not write.is_certain
