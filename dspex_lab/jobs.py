"""Jobs as the user holds them: detached calls that finish without their notebook, found again by their id.

Asynchronous inside, on the lab's event loop; the rest are thin adapters over the portal. The host keeps what a job came
to for a day after its end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dspex_lab.backends.base import Backend
from dspex_lab.calls import Call, Code, Needs, TraceContext
from dspex_lab.errors import ConfigurationError, DeadlineExceeded, error_from_dict
from dspex_lab.portal import Portal
from dspex_lab.wire.codec import decode

__all__ = ["Job", "JobSummary", "begin_job", "detached_call"]

#: How often the host is asked whether a job has ended: at first, and at most; seconds.
_ASK_S, _MOST_ASK_S = 0.02, 0.5


@dataclass(frozen=True, slots=True)
class JobSummary:
    """One job as a line in a list. ``state``: waiting, running, succeeded, failed or cancelled; times in epoch
    seconds."""

    id: str
    op: str
    pool: str
    state: str
    submitted_at: float
    ended_at: float | None = None


class Job:
    """A detached call, by its id: from this notebook, or from one that is long gone."""

    def __init__(self, job_id: str, backend: Backend, portal: Portal) -> None:
        self.id = job_id
        self._backend = backend
        self._portal = portal

    def result(self, timeout_s: float | None = None) -> Any:
        """The job's value; waits for it, at most ``timeout_s`` (None: until it has ended). An interrupt ends the wait
        and not the job. Raises what the job failed with, ``DeadlineExceeded``, and ``ConfigurationError`` for a job
        that the host does not know (any more)."""
        return self._portal.run(self._result, timeout_s)

    async def aresult(self, timeout_s: float | None = None) -> Any:
        """The same on an event loop."""
        return await asyncio.wrap_future(self._portal.start(self._result, timeout_s))

    def summary(self) -> JobSummary:
        """How the job stands."""
        return _summary_of(self._portal.run(self._outcome))

    def cancel(self) -> None:
        """Stop the job; one that has ended is left as it is."""

        async def cancel() -> None:
            await self._backend.request("jobs.cancel", job=self.id)

        self._portal.run(cancel)

    async def _result(self, timeout_s: float | None) -> Any:
        pause_s = _ASK_S
        try:
            async with asyncio.timeout(timeout_s):
                while (outcome := await self._outcome())["ended_at"] is None:
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, _MOST_ASK_S)
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"The job has not ended within {timeout_s:g} s.", hint="It goes on; ask again, or cancel it."
            ) from error
        if outcome["error"] is not None:
            raise error_from_dict(outcome["error"])
        return decode(outcome["frames"])

    async def _outcome(self) -> Mapping[str, Any]:
        outcome: Mapping[str, Any] = await self._backend.request("jobs.outcome", job=self.id)
        return outcome

    def __repr__(self) -> str:
        return f"<Job {self.id}>"


def detached_call(
    function: Callable[..., Any] | str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    pool: str,
    timeout_s: float | None,
    needs: Needs | None,
    trace: TraceContext | None = None,
) -> Call:
    """``function(*args, **kwargs)`` as a call that outlives its caller; ``trace`` is what it hangs under."""
    target = function if isinstance(function, str) else Code(function)
    arguments = {"function": target, "args": list(args), "kwargs": dict(kwargs)}
    return Call(
        "python.call",
        arguments,
        pool=pool,
        timeout_s=timeout_s,
        needs=needs,
        detached=True,
        priority="batch",
        trace=trace,
    )


async def begin_job(call: Call, backend: Backend, portal: Portal) -> Job:
    """Submit ``call`` and wait until the host has taken it: what it refuses is raised here."""
    await backend.open()
    pending = backend.submit(call)
    job = Job(call.id, backend, portal)
    with contextlib.suppress(ConfigurationError):  # not known: it was refused, and the answer says why
        await backend.request("jobs.outcome", job=call.id)
        return job
    await pending.result()
    return job


def _summary_of(data: Mapping[str, Any]) -> JobSummary:
    return JobSummary(**{name: data[name] for name in JobSummary.__dataclass_fields__})
