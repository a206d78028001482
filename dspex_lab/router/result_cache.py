"""Results that are kept: looked up before a step is tried, made once for all who ask at the same time.

What is kept is what the step gave, as plain data, and how to read it is the step's own business again: nothing is
unpickled. Errors and what was cancelled are not kept. Knows nothing of strategies and of what a try is.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspex_lab.cache import Cache, CacheStatistics, DiskCache, MemoryCache
from dspex_lab.calls import Chunk, LmSpec
from dspex_lab.clock import Clock
from dspex_lab.errors import BudgetExceeded, Cancelled, ConfigurationError, DeadlineExceeded
from dspex_lab.router.cache_policy import CachePolicy
from dspex_lab.router.execution import Task
from dspex_lab.router.kept_outputs import read_outputs, write_outputs
from dspex_lab.router.native import within
from dspex_lab.router.operation import Outcome
from dspex_lab.router.result_key import IdentifyModel, ResultKeys, check_cacheable

__all__ = ["ResultCaches", "through_cache"]

_FILE_NAME = "results.sqlite"
#: Errors of whoever makes a result, for reasons of their own: those who wait for it try by themselves.
_OWN_ENDS = (BudgetExceeded, Cancelled, DeadlineExceeded)

MakeOutcome = Callable[[], Awaitable[Outcome]]


class ResultCaches:
    """The cache in memory and the one on disk, each opened when it is first asked for. ``folder`` None: no disk."""

    def __init__(
        self,
        clock: Clock,
        folder: Path | None = None,
        *,
        max_entries: int = 10_000,
        max_size_mb: float = 256.0,
        identify: IdentifyModel | None = None,
    ) -> None:
        self._clock = clock
        self._folder = folder
        self._max_entries = max_entries
        self._max_size_mb = max_size_mb
        self._open: dict[str, Cache] = {}
        self.keys = ResultKeys(identify)

    def at(self, place: str) -> Cache:
        """The cache in "memory" or on "disk". Raises ``ConfigurationError`` when it cannot be opened."""
        found = self._open.get(place)
        if found is None:
            found = self._open[place] = self._on_disk() if place == "disk" else self._in_memory()
        return found

    def _in_memory(self) -> Cache:
        return MemoryCache(self._clock, max_entries=self._max_entries)

    def _on_disk(self) -> Cache:
        if self._folder is None:
            raise ConfigurationError("There is no folder for a cache on disk.", "cache_dir", "a folder of your own")
        try:
            return DiskCache(self._folder / _FILE_NAME, self._clock, max_size_mb=self._max_size_mb)
        except Exception as error:  # the file system's and SQLite's own
            raise ConfigurationError(
                f"The cache in {self._folder} cannot be used: {error}.",
                "cache_dir",
                "a folder of your own",
                str(self._folder),
                hint="Set DSPEX_LAB_CACHE_DIR to a folder of yours, or keep results in memory: cache=True.",
            ) from error

    def statistics(self) -> tuple[CacheStatistics, ...]:
        """Of the caches that were used."""
        return tuple(one.statistics() for one in tuple(self._open.values()))

    def close(self) -> None:
        """Let go of both. Safe to call twice; what is asked for later opens them again."""
        for one in self._open.values():
            one.close()
        self._open.clear()

    def __repr__(self) -> str:
        return f"<ResultCaches [{', '.join(repr(one) for one in self._open.values()) or 'unused'}]>"


async def through_cache(
    task: Task, caches: ResultCaches, policy: CachePolicy, lm: LmSpec, make: MakeOutcome
) -> Outcome:
    """What is kept for the task, or what ``make()`` gives, which is kept then. A hit has used nothing."""
    check_cacheable(task.operation, policy)
    key = caches.keys.key(task.operation, task.inputs, lm, task.decision)
    flight = _Flight(task, key, caches.at(policy.place), policy, make)
    if policy.refresh:
        return await flight.refresh()
    while (outcome := await flight.next_outcome()) is None:
        pass
    return outcome


@dataclass(slots=True)
class _Flight:
    """One caller's way to a result: its own try, another caller's, or what is kept."""

    task: Task
    key: str
    cache: Cache
    policy: CachePolicy
    make: MakeOutcome
    has_begun: bool = False
    made: Outcome | None = None

    async def refresh(self) -> Outcome:
        """Make the result whatever is kept, and keep it."""
        written = await self._produce()
        if written is not _UNKEPT:
            self.cache.put(self.key, written, ttl_s=self.policy.ttl_s)
        assert self.made is not None  # noqa: S101 - made by the line above
        return self.made

    async def next_outcome(self) -> Outcome | None:
        """The result; None: what was found is of no use, and the next look finds something else."""
        task = self.task
        work = self.cache.fetch(self.key, self._produce, ttl_s=self.policy.ttl_s)
        try:
            fetched = await within(task.clock, task.remaining_s(), work, name=task.operation.name)
        except _OWN_ENDS:
            left_s = task.remaining_s()
            if self.has_begun or (left_s is not None and left_s <= 0):
                raise
            return None
        outputs = None if self.made is not None else read_outputs(task.operation, fetched.value)
        if outputs is None:
            if self.made is None or fetched.value is _UNKEPT:
                self.cache.delete(self.key)
            return self.made
        self._tell("cache.hit", origin=fetched.origin)
        if task.is_streaming:
            self._show(outputs)
        return task.outcome(outputs, is_cached=True)

    async def _produce(self) -> Any:
        """Make the result, in the form in which it is kept."""
        self.has_begun = True
        self._tell("cache.miss")
        self.made = await self.make()
        written = write_outputs(self.task.operation, self.made.outputs, is_exact=self.policy.place == "disk")
        return _UNKEPT if written is None else written

    def _tell(self, name: str, **more: Any) -> None:
        self.task.context.emit(name, operation=self.task.operation.name, key=self.key, place=self.policy.place, **more)

    def _show(self, outputs: Mapping[str, Any]) -> None:
        """Tell each output's text as one piece, for those who watch it come."""
        checked = self.task.operation.checked
        if checked is None:
            return
        now = self.task.clock.now()
        for number, (name, value) in enumerate(checked.serializer.dump(outputs).items()):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            self.task.take_chunk(Chunk(self.key, number, text, name, now))


#: Stands for a result that cannot be kept, and goes again at once.
_UNKEPT: Any = {"form": "unkept"}
