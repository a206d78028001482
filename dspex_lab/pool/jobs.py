"""Detached calls: they finish without their notebook, and what they came to is kept until somebody asks for it.

The book is bounded by count, size and age; what has ended longest goes first. Small values only: a large one lies in
shared memory, which goes with who made it. Knows nothing of workers and sockets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dspex_lab.clock import Clock
from dspex_lab.errors import ConfigurationError, ValidationError
from dspex_lab.pool.records import CallPhase, CallRecord
from dspex_lab.wire.framing import Frames
from dspex_lab.wire.messages import Done

__all__ = ["JobBook"]

_MAX_JOBS = 1_000
_MAX_BYTES = 64 * 1024 * 1024
_MAX_AGE_S = 24 * 3600.0


@dataclass(slots=True)
class _Job:
    """One detached call. ``frames`` is its value on the wire, ``error`` what it failed with; neither while it runs."""

    call: CallRecord
    submitted_at: float
    ended_at: float | None = None
    frames: tuple[bytes, ...] = ()
    error: Mapping[str, Any] | None = None

    def size_bytes(self) -> int:
        return sum(map(len, self.frames))

    def state(self) -> str:
        if self.ended_at is None:
            return "waiting" if self.call.phase is CallPhase.QUEUED else "running"
        if self.error is None:
            return "succeeded"
        return "cancelled" if self.error.get("type") == "Cancelled" else "failed"


class JobBook:
    """Every detached call of the host, by id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs: dict[str, _Job] = {}

    def begun(self, call: CallRecord) -> None:
        """Note a call that was queued, if it is detached."""
        if call.submit.detached:
            self._jobs[call.submit.id] = _Job(call, self._clock.now())

    def ended(self, call: CallRecord, done: Done | None, payload: Frames, error: Mapping[str, Any]) -> None:
        """Note how a call ended, if it is one of the book's."""
        job = self._jobs.pop(call.submit.id, None)
        if job is None:
            return
        job.ended_at = self._clock.now()
        if done is None:
            job.error = error
        elif done.segments:
            job.error = ValidationError(
                "The value of the detached call is too large to be kept.",
                hint="Write it to a file in the call, and return the path.",
            ).to_dict()
        else:
            job.frames = tuple(bytes(frame) for frame in payload)
        job.call.payload = ()
        self._jobs[call.submit.id] = job  # at the end again: the order is that of the ends
        self._forget_old()

    def outcome(self, job_id: str) -> dict[str, Any]:
        """The job as plain data: ``state``, and its ``frames`` or its ``error``. Raises ``ConfigurationError``."""
        job = self._job(job_id)
        return {**_summary(job), "frames": list(job.frames), "error": None if job.error is None else dict(job.error)}

    def call(self, job_id: str) -> CallRecord:
        """The job's call, which may have ended."""
        return self._job(job_id).call

    def summaries(self) -> list[dict[str, Any]]:
        """Every job as plain data, the latest first; times in epoch seconds."""
        return sorted(map(_summary, self._jobs.values()), key=lambda one: float(one["submitted_at"]), reverse=True)

    def _job(self, job_id: str) -> _Job:
        job = self._jobs.get(job_id)
        if job is None:
            raise ConfigurationError(
                f"The host knows no job {job_id!r}.", "job", "the id of a detached call", job_id,
                hint="A job is kept for a day after its end, and goes with its host; lab.jobs() lists them.",
            )  # fmt: skip
        return job

    def _forget_old(self) -> None:
        ended = [job for job in self._jobs.values() if job.ended_at is not None]
        size, oldest = sum(job.size_bytes() for job in ended), self._clock.now() - _MAX_AGE_S
        for job in ended[:-1]:
            if len(self._jobs) <= _MAX_JOBS and size <= _MAX_BYTES and (job.ended_at or 0.0) >= oldest:
                return
            size -= job.size_bytes()
            del self._jobs[job.call.submit.id]

    def __repr__(self) -> str:
        running = sum(job.ended_at is None for job in self._jobs.values())
        return f"<JobBook [running: {running}, ended: {len(self._jobs) - running}]>"


def _summary(job: _Job) -> dict[str, Any]:
    submit = job.call.submit
    return {
        "id": submit.id,
        "op": submit.op,
        "pool": submit.pool,
        "state": job.state(),
        "submitted_at": job.submitted_at,
        "ended_at": job.ended_at,
    }
