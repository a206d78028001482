"""One run's place in the journal: the run's memory, and where its states are written down.

Nothing here ever fails a run: what cannot be written is told, once, and the run goes on without.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future
from functools import cached_property
from typing import Any

import msgspec

from dspex_lab.clock import Clock
from dspex_lab.errors import LabError, ValidationError
from dspex_lab.pipelines.journal.classes import classes_of
from dspex_lab.pipelines.journal.owner import Owner
from dspex_lab.pipelines.journal.records import count_of_steps, metrics_to_bytes, prints_to_bytes
from dspex_lab.pipelines.journal.values import is_plain, write_value
from dspex_lab.pipelines.journal.writer import Statement, Writer
from dspex_lab.pipelines.outcome.memory import SPENT_KEY, Remembered
from dspex_lab.pipelines.outcome.result import RunState, StepMetrics
from dspex_lab.pipelines.outcome.spending import spent_to_plain
from dspex_lab.pipelines.plan.fingerprint import fingerprint
from dspex_lab.pipelines.plan.plan import Plan
from dspex_lab.router import Account
from dspex_lab.telemetry.attributes import clean_attributes, clean_text

__all__ = ["Entry", "Trouble"]

#: Told what is not kept: a message for people, and the step (None: all that is to come).
Trouble = Callable[[str, str | None], None]

_INSERT_RUN = (
    "INSERT INTO runs (run_id, pipeline, state, started_at, changed_at, owner_pid, owner_started, fingerprint, inputs,"
    " options, source, step_count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_STATE = "INSERT INTO states (run, at, state) SELECT number, ?, ? FROM runs WHERE run_id = ?"
_INSERT_STEP = (
    "INSERT OR REPLACE INTO steps (run, key, step, at, tokens, metrics, outputs)"
    " SELECT number, ?, ?, ?, ?, ?, ? FROM runs WHERE run_id = ?"
)
_UPDATE_RUN = "UPDATE runs SET state = ?, changed_at = ?, error = ? WHERE run_id = ?"


class Entry:
    """The memory of one run. ``known`` is what it remembers, of earlier lives of its own (then it is there already), or
    of another run, when it ``is_new``."""

    def __init__(
        self,
        plan: Plan,
        run_id: str,
        inputs: Mapping[str, Any],
        options: Mapping[str, Any],
        writer: Writer,
        *,
        clock: Clock,
        known: Mapping[str, Remembered] | None = None,
        is_new: bool = False,
    ) -> None:
        self._plan = plan
        self._run_id = run_id
        self._inputs = inputs
        self._options = options
        self._writer = writer
        self._clock = clock
        self._known = dict(known or {})
        self._is_begun = known is not None and not is_new
        # What is noted before the beginning is written is the state that the run begins with.
        self._state = str(RunState.RUNNING)
        self._lock = threading.Lock()
        self._is_broken = False
        self._told: set[str] = set()
        #: Both are set by the run.
        self.on_trouble: Trouble = lambda message, step: None
        self.account: Account | None = None

    @cached_property
    def _classes(self) -> Collection[type]:
        # Asked for when there is something to write.
        return classes_of(self._plan)

    async def begin(self) -> None:
        """Write that the run is here, if it is not written yet; durable when this returns. A resumed run was written
        by who resumed it."""
        if self._is_begun:
            return
        self._is_begun = True
        unkept: list[str] = []
        with self._telling():
            await asyncio.wrap_future(self._writer.submit(lambda: self._begin(unkept)))
        self._tell_unkept(unkept)

    def begin_here(self) -> None:
        """The same on a thread, which waits for it."""
        if self._is_begun:
            return
        self._is_begun = True
        unkept: list[str] = []
        with self._telling():
            self._writer.write(lambda: self._begin(unkept))
        self._tell_unkept(unkept)

    def recall(self, key: str) -> Remembered | None:
        return self._known.get(key)

    async def keep(self, key: str, outputs: Mapping[str, Any], metrics: StepMetrics) -> None:
        if self._is_broken:
            return
        at = self._clock.now()
        with self._telling(metrics.step):
            await asyncio.wrap_future(self._writer.submit(lambda: self._kept(key, outputs, metrics, at)))

    def keep_here(self, key: str, outputs: Mapping[str, Any], metrics: StepMetrics) -> None:
        if self._is_broken:
            return
        at = self._clock.now()
        with self._telling(metrics.step):
            self._writer.write(lambda: self._kept(key, outputs, metrics, at))

    def note(self, state: RunState | str, error: LabError | None = None) -> Future[int]:
        """Write the run's state; the future is done when it is durable, and nobody need wait for it."""
        at = self._clock.now()
        self._state = str(state)
        told = msgspec.json.encode(clean_attributes(error.to_dict())) if error is not None else None
        statements: list[Statement] = [
            (_UPDATE_RUN, (str(state), at, told, self._run_id)),
            (_INSERT_STATE, (at, str(state), self._run_id)),
        ]
        return self._writer.submit(lambda: () if self._is_broken else [*statements, *self._spent(at)])

    async def end(self, state: RunState | str, error: LabError | None, *, timeout_s: float) -> None:
        """Write the run's last state; waits for it, but not long: a run ends when it ends."""
        done = asyncio.wrap_future(self.note(state, error))
        await asyncio.wait({done}, timeout=timeout_s)
        if done.done() and not done.cancelled():
            done.exception()

    def end_here(self, state: RunState | str, error: LabError | None, *, timeout_s: float) -> None:
        """The same on a thread, which waits for it."""
        with contextlib.suppress(TimeoutError):
            self.note(state, error).exception(timeout_s)

    @contextlib.contextmanager
    def _telling(self, step: str | None = None) -> Iterator[None]:
        """Tell what was not written inside, for the first time that it happens."""
        try:
            yield
        except ValidationError as error:
            if step is not None and step not in self._told:
                self._told.add(step)
                self.on_trouble(f"What {step} gave cannot be written down: {error.message}", step)
        except Exception as error:
            with self._lock:
                is_first, self._is_broken = not self._is_broken, True
            if is_first:
                what = error.message if isinstance(error, LabError) else f"{type(error).__name__}: {error}"
                self.on_trouble(f"The run goes on, but is not written down: {what.rstrip('.')}.", None)

    def _tell_unkept(self, inputs: Iterable[str]) -> None:
        for name in inputs:
            self.on_trouble(f"The input {name} cannot be written down: to resume, give it again.", None)

    # --- in the writer's turn -------------------------------------------------------------------------------------

    def _begin(self, unkept: list[str]) -> list[Statement]:
        at, owner = self._clock.now(), Owner.this_process()
        inputs: dict[str, bytes | None] = {}
        for name, value in self._inputs.items():
            try:
                inputs[name] = self._written(value)
            except ValidationError:
                inputs[name] = None
                unkept.append(name)
        row = (
            self._run_id,
            self._plan.name,
            self._state,
            at,
            at,
            owner.pid,
            owner.started,
            prints_to_bytes(fingerprint(self._plan)),
            msgspec.msgpack.encode(inputs),
            msgspec.json.encode(self._options),
            clean_text(self._plan.source.text),
            count_of_steps(self._plan),
        )
        begun: list[Statement] = [(_INSERT_RUN, row), (_INSERT_STATE, (at, self._state, self._run_id))]
        for key, one in self._known.items():
            with contextlib.suppress(ValidationError):  # what could not be written down there cannot be here
                begun += self._kept(key, one.outputs, one.metrics, at)
        return begun

    def _kept(self, key: str, outputs: Mapping[str, Any], metrics: StepMetrics, at: float) -> list[Statement]:
        tokens = metrics.usage.input_tokens + metrics.usage.output_tokens
        row = (key, metrics.step, at, tokens, metrics_to_bytes(metrics), self._written(dict(outputs)), self._run_id)
        return [(_INSERT_STEP, row), *self._spent(at)]

    def _spent(self, at: float) -> list[Statement]:
        """What the run has used of its budget, tries that came to nothing included."""
        if self.account is None or not self.account.spent.lm_calls:
            return []
        spent, figures = self._written(spent_to_plain(self.account)), metrics_to_bytes(StepMetrics("", ""))
        return [(_INSERT_STEP, (SPENT_KEY, "", at, 0, figures, spent, self._run_id))]

    def _written(self, value: Any) -> bytes:
        return write_value(value, () if is_plain(value) else self._classes)

    def __repr__(self) -> str:
        return f"<Entry {self._run_id[:8]} [{'broken' if self._is_broken else 'open'}, known: {len(self._known)}]>"
