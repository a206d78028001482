"""Detached calls: they finish without their notebook, and what they came to is kept until somebody asks for it.

The book is bounded by count, size and age; what has ended longest goes first. With ``files`` it outlives its host: a
job that was under way when a host ended is told as lost by the next one. Small values only: a large one lies in shared
memory, which goes with who made it. Knows nothing of workers and sockets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from dspex_lab.clock import Clock
from dspex_lab.errors import ConfigurationError, HostUnavailable, LabError, ValidationError
from dspex_lab.pool.job_files import JobEntry, JobFiles
from dspex_lab.pool.records import CallPhase, CallRecord
from dspex_lab.wire.framing import Frames
from dspex_lab.wire.messages import Done

__all__ = ["JobBook"]

_MAX_JOBS = 1_000
_MAX_BYTES = 64 * 1024 * 1024
_MAX_AGE_S = 24 * 3600.0


@dataclass(slots=True)
class _Job:
    """One detached call; ``call`` while it is under way. The frames of a value that is on the disk are there alone."""

    entry: JobEntry
    call: CallRecord | None = None
    size_bytes: int = 0
    is_on_disk: bool = False

    def state(self) -> str:
        if self.call is not None:
            return "waiting" if self.call.phase is CallPhase.QUEUED else "running"
        if self.entry.error is None:
            return "succeeded"
        return "cancelled" if self.entry.error.get("type") == "Cancelled" else "failed"


class JobBook:
    """Every detached call of the user, by id; without ``files`` those of this host alone."""

    def __init__(self, clock: Clock, files: JobFiles | None = None) -> None:
        self._clock = clock
        self._files = files
        self._jobs: dict[str, _Job] = {}
        self._load()

    def _load(self) -> None:
        """What hosts before this one wrote down; in the order of the ends, as everything that ended."""
        if self._files is None:
            return
        oldest = self._clock.now() - _MAX_AGE_S
        for entry in sorted(self._files.read_all(), key=lambda one: one.ended_at or self._clock.now()):
            if entry.ended_at is None:
                error = HostUnavailable(
                    "The pool host ended while the job was under way.", hint="Start the job again.", retryable=False
                )
                self._keep(msgspec.structs.replace(entry, ended_at=self._clock.now(), error=error.to_dict()))
            elif entry.ended_at < oldest:
                self._files.remove(entry.id)
            else:
                kept = msgspec.structs.replace(entry, frames=())
                self._jobs[entry.id] = _Job(kept, size_bytes=entry.size_bytes(), is_on_disk=True)
        self._forget_old()

    def begun(self, call: CallRecord) -> None:
        """Note a call that was queued, if it is detached."""
        if call.submit.detached:
            submit = call.submit
            entry = JobEntry(submit.id, submit.op, submit.pool, self._clock.now())
            self._jobs[submit.id] = _Job(entry, call)
            if self._files is not None:
                self._files.write(entry)

    def ended(self, call: CallRecord, done: Done | None, payload: Frames, error: Mapping[str, Any]) -> None:
        """Note how a call ended, if it is one of the book's."""
        job = self._jobs.get(call.submit.id) if call.submit.detached else None
        if job is None or job.call is not call:
            return
        entry, now = job.entry, self._clock.now()
        if done is None:
            entry = msgspec.structs.replace(entry, ended_at=now, error=dict(error))
        elif done.segments:
            entry = msgspec.structs.replace(entry, ended_at=now, error=_too_large().to_dict())
        else:
            entry = msgspec.structs.replace(entry, ended_at=now, frames=tuple(map(bytes, payload)))
        self._keep(entry)
        self._forget_old()

    def _keep(self, entry: JobEntry) -> None:
        """An end, at the end of the book: the order is that of the ends."""
        self._jobs.pop(entry.id, None)
        is_on_disk = self._files is not None and self._files.write(entry)
        kept = msgspec.structs.replace(entry, frames=()) if is_on_disk else entry
        self._jobs[entry.id] = _Job(kept, size_bytes=entry.size_bytes(), is_on_disk=is_on_disk)

    def outcome(self, job_id: str) -> dict[str, Any]:
        """The job as plain data: ``state``, and its ``frames`` or its ``error``. Raises ``ConfigurationError``."""
        job = self._job(job_id)
        entry = job.entry
        if self._files is not None and job.is_on_disk and entry.error is None:
            found = self._files.read(job_id)
            if found is None:
                del self._jobs[job_id]
                raise _unknown(job_id)
            entry = found
        error = None if entry.error is None else dict(entry.error)
        return {**_summary(job), "frames": list(entry.frames), "error": error}

    def call(self, job_id: str) -> CallRecord | None:
        """The job's call; None when it has ended."""
        return self._job(job_id).call

    def summaries(self) -> list[dict[str, Any]]:
        """Every job as plain data, the latest first; times in epoch seconds."""
        return sorted(map(_summary, self._jobs.values()), key=lambda one: float(one["submitted_at"]), reverse=True)

    def _job(self, job_id: str) -> _Job:
        job = self._jobs.get(job_id)
        if job is None:
            raise _unknown(job_id)
        return job

    def _forget_old(self) -> None:
        ended = [job for job in self._jobs.values() if job.call is None]
        size, oldest = sum(job.size_bytes for job in ended), self._clock.now() - _MAX_AGE_S
        for job in ended[:-1]:
            if len(self._jobs) <= _MAX_JOBS and size <= _MAX_BYTES and (job.entry.ended_at or 0.0) >= oldest:
                return
            size -= job.size_bytes
            del self._jobs[job.entry.id]
            if self._files is not None:
                self._files.remove(job.entry.id)

    def __repr__(self) -> str:
        running = sum(job.call is not None for job in self._jobs.values())
        return f"<JobBook [running: {running}, ended: {len(self._jobs) - running}]>"


def _too_large() -> LabError:
    return ValidationError(
        "The value of the detached call is too large to be kept.",
        hint="Write it to a file in the call, and return the path.",
    )


def _unknown(job_id: str) -> LabError:
    return ConfigurationError(
        f"The host knows no job {job_id!r}.",
        "job",
        "the id of a detached call",
        job_id,
        hint="A job is kept for a day after its end; %lab jobs lists them.",
    )


def _summary(job: _Job) -> dict[str, Any]:
    entry = job.entry
    return {
        "id": entry.id,
        "op": entry.op,
        "pool": entry.pool,
        "state": job.state(),
        "submitted_at": entry.submitted_at,
        "ended_at": entry.ended_at,
    }
