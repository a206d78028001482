"""The composition root: builds everything, closes everything, and is the one place that holds mutable state.

A :class:`Lab` is a connection to the user's pool host with a router on it; :func:`current_lab` is the one that the
public functions and the magics use. Nothing is started before it is needed.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from dspex_lab.backends.base import Backend
from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.calls import LmSpec, Needs
from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import HostUnavailable, LabError, ProtocolError
from dspex_lab.jobs import Job, JobSummary, begin_job, detached_call
from dspex_lab.observer import HostObserver
from dspex_lab.pipelines import BatchStarter, BatchStore, History, Journal, Launcher, Pipeline, Plan, Run, RunDesk
from dspex_lab.pool.processes.logs import tail
from dspex_lab.pool.processes.rendezvous import end_host, find_host
from dspex_lab.portal import Portal
from dspex_lab.router import BreakerPolicy, Budget, LabStatistics, Registry, ResultCaches, Router, load_call, local_mark
from dspex_lab.sessions import Session
from dspex_lab.settings import PoolSpec, Settings, api_key_for
from dspex_lab.shelf import Shelf
from dspex_lab.telemetry import Cells, Recorder, Trace, TraceLibrary
from dspex_lab.telemetry.events import EventHub, Observer
from dspex_lab.telemetry.host_view import HostView
from dspex_lab.wire.messages import Notice

__all__ = ["Lab", "cell_ended", "cells", "current_lab", "use_lab", "warm_up"]

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

#: So many panels and forms stay alive; older ones show what they showed last, without a kernel.
_PANELS = 40

#: The cell of the notebook that runs now, told by the notebook's hooks.
cells: Final = Cells()


class Lab:
    """A router on the user's pool host, with an event loop of its own. Close it, or use it with ``with``.

    ``settings`` come from the environment when none are given. ``backend`` replaces the pool host, in tests.
    """

    def __init__(
        self, settings: Settings | None = None, *, backend: Backend | None = None, clock: Clock | None = None
    ) -> None:
        self.settings = settings or Settings.create()
        self.clock = clock or SystemClock()
        self.hub = EventHub(self.clock)
        self.portal = Portal()
        #: What is told to the host of what goes on here.
        self.recorder = Recorder(self.clock, record_prompts=self.settings.record_prompts)
        self.backend: Backend = backend or self.portal.call_soon(self._kernel_backend)
        #: For who only looks: panels ask through it.
        self.observer = HostObserver(self.settings, self.portal, self.backend)
        self.router = Router(
            self.backend,
            self._lm_spec(),
            hub=self.hub,
            clock=self.clock,
            find_key=api_key_for,
            breaker_policy=BreakerPolicy(failures=self.settings.circuit_failures, rest_s=self.settings.circuit_rest_s),
            caches=self._result_caches(),
        )
        #: Pipelines by name: what ``%%pipeline`` and ``lab.pipeline`` defined.
        self.pipelines: Registry[Pipeline] = Registry("pipeline")
        settings = self.settings
        self.journal = Journal(
            settings.journal_file,
            max_age_days=settings.journal_max_age_days,
            max_runs=settings.journal_max_runs,
            clock=self.clock,
        )
        self.launcher = Launcher(
            self.portal,
            self.router,
            journal=self.journal,
            resume=self._resume,
            recorder=self.recorder,
            place=cells.place,
        )
        self._desk = RunDesk(self.launcher, self.backend.request)
        self._telling = self.portal.start(self.recorder.serve, self.backend.tell)
        self.batches = BatchStarter(
            self.portal,
            self.router,
            BatchStore(settings.journal_file, max_age_days=settings.journal_max_age_days, clock=self.clock),
            recorder=self.recorder,
        )
        self.history = History(self.launcher, self.journal, self._find_plan)
        #: What stands in the page and needs this kernel: panels and forms.
        self.panels = Shelf(_PANELS)
        self._is_closed = False
        self._closing = threading.Lock()
        atexit.register(self.close)

    def _kernel_backend(self) -> Backend:
        return KernelBackend(
            self.settings, label=f"notebook {os.getpid()}", on_open=self.recorder.wake, on_notice=self._heed
        )

    def _heed(self, notice: Notice) -> None:
        """Do what the host passes on from a panel elsewhere."""
        self._desk.heed(notice.name, notice.attributes)

    def _result_caches(self) -> ResultCaches:
        settings = self.settings
        return ResultCaches(
            self.clock,
            settings.cache_dir,
            max_entries=settings.cache_max_entries,
            max_size_mb=settings.cache_max_size_mb,
            identify=lambda lm: local_mark(lm, settings.model_dir),
        )

    def _resume(self, run: Run, inputs: Mapping[str, Any], budget: Budget | None) -> Run:
        return self.history.resume(run.id, inputs, budget, plan=run.plan)

    def _find_plan(self, name: str) -> Plan | None:
        return self.pipelines.find(name).plan if name in self.pipelines else None

    # --- the host ---------------------------------------------------------------------------------------------

    def start(self, pool: str | None = None) -> HostView:
        """Connect to the host, starting one if there is none, and wake ``pool`` (None: every pool with a floor)."""
        self.portal.run(self.backend.open)
        names = [pool] if pool else [spec.name for spec in self.settings.pools if spec.min_ready]
        for name in names:
            self.request("pools.start", name=name)
        return self.status()

    def start_in_background(self) -> None:
        """Connect to the host, and load the model that is the default if it is a local one, while the user goes on
        typing; what goes wrong shows with the first call."""
        if not self._is_closed:
            future = self.portal.start(self._warm_up)
            future.add_done_callback(lambda future: future.cancelled() or future.exception())

    async def _warm_up(self) -> None:
        await self.backend.open()
        for spec in self.settings.pools:
            if spec.min_ready:
                await self.backend.request("pools.start", name=spec.name)
        call = load_call(self.lm, self.settings)
        if call is not None:
            await self.backend.submit(call).result()

    def stop(self) -> None:
        """End the host with all its workers, if there is one; the next call starts another."""
        if not self.has_host():
            return
        try:
            self.request("stop")
        except ProtocolError:  # a host of another version understands no order, but every host a signal
            if not end_host(self.settings.runtime_dir):
                raise

    def has_host(self) -> bool:
        """Whether a host lives, or is just being started by this lab; never starts one."""
        if not isinstance(self.backend, KernelBackend):
            return True
        try:
            found = find_host(self.settings.runtime_dir)
        except OSError as error:
            raise HostUnavailable(f"The pool host cannot be looked for: {error}.") from error
        return found is not None or self.backend.is_connecting()

    def status(self) -> HostView:
        """The host, its pools and their workers, as they are now. Starts a host when there is none."""
        circuits = tuple(map(str, self.router.breakers.statistics()))
        return replace(HostView.from_status(self.request("status")), circuits=circuits)

    def statistics(self) -> LabStatistics:
        """What this lab's router did so far (calls by route, retries, circuits, caches, budgets), and what the host
        counted where one lives: calls, steps, the last hour, workers. Starts none."""
        accounts = {run.id: account for run in self.launcher.runs if (account := run.account) is not None}
        router = self.router
        figures = router.statistics(), router.breakers.statistics(), router.caches.statistics()
        status = self._heard("status") or {}
        return LabStatistics(*figures, accounts, self._heard("statistics") or {}, status.get("pools", {}))

    def _heard(self, method: str) -> Any:
        """What the host answers; None where none lives, or it does not answer."""
        with contextlib.suppress(LabError):
            return self.observer.ask(method)
        return None

    def on(self, event: str, observer: Observer) -> Callable[[], None]:
        """Call ``observer(event)`` for each event of that name from now on (``"*"``, ``"router.*"``; the names are
        ``telemetry.EVENT_NAMES``), on the thread that tells it. The returned function detaches it; one that raises is
        detached by itself."""
        return self.hub.on(event, observer)

    def traces(self, limit: int = 100) -> pd.DataFrame:
        """The latest traces of all notebooks, newest first: a trace is a cell with all that was begun in it, or a run
        outside of one. Starts no host."""
        return self._traces().table(limit)

    def trace(self, trace_id: str | None = None) -> Trace:
        """One trace by its id, or by that of a run in it; the beginning of the id will do. None: the latest. Raises
        ``ConfigurationError`` when there is none."""
        return self._traces().find(trace_id)

    def _traces(self) -> TraceLibrary:
        """The traces as they are now: what was told is on the disk first."""
        with contextlib.suppress(HostUnavailable, ProtocolError):
            if self.portal.call_soon(self.recorder.flush, self.backend.tell) and self.has_host():
                self.request("traces.settle")
        return TraceLibrary(self.settings.trace_file, self.recorder.spans)

    def request(self, method: str, **params: Any) -> Any:
        """Ask the host itself; the value is plain data."""

        async def ask() -> Any:
            return await self.backend.request(method, **params)

        return self.portal.run(ask)

    def logs(self) -> dict[str, str]:
        """The last words of the host and its workers by path; of the host before when none lives now."""
        if self.has_host():
            return dict(self.request("logs"))
        folder = self.settings.runtime_dir
        return {str(path): tail(path) for path in (*sorted(folder.glob("*.log")), *sorted(folder.glob("*/*.log")))}

    def resize(self, pool: str, size: int) -> HostView:
        """Change how many workers ``pool`` may have, while it works."""
        self.request("pools.resize", name=pool, size=size)
        return self.status()

    def add_pool(self, spec: PoolSpec) -> None:
        """Have the host keep another pool. Raises ``ConfigurationError`` when there is another one of that name."""
        self.request("pools.add", spec=spec.model_dump(mode="json"))
        others = tuple(one for one in self.settings.pools if one.name != spec.name)
        self.settings = self.settings.model_copy(update={"pools": (*others, spec)})

    def remove_pool(self, name: str) -> None:
        """Have the host let go of a pool. Raises ``ConfigurationError`` while it has calls or sessions."""
        self.request("pools.remove", name=name)
        others = tuple(one for one in self.settings.pools if one.name != name)
        self.settings = self.settings.model_copy(update={"pools": others})

    def restart_pool(self, name: str) -> int:
        """Replace a pool's workers, each when it has finished its calls; how many."""
        return int(self.request("pools.restart", name=name))

    def session(
        self, *, pool: str = "general", idle_expiry_s: float = 600.0, timeout_s: float | None = None
    ) -> Session:
        """A worker of ``pool`` for oneself, with state that stays in it from call to call; close it, or use it with
        ``with``. It is opened with its first call. ``timeout_s`` holds for each call, its wait for a worker
        included."""
        return Session(
            self.backend, self.portal, pool=pool, idle_expiry_s=idle_expiry_s, timeout_s=timeout_s, place=cells.place
        )

    def start_job(
        self,
        function: Callable[..., Any] | str,
        /,
        *args: Any,
        pool: str = "general",
        timeout_s: float | None = None,
        needs: Needs | None = None,
        **kwargs: Any,
    ) -> Job:
        """Have ``function(*args, **kwargs)`` run in a worker, whatever becomes of this notebook. The host holds on to
        the value, which is to be small, until a day after: ``job.result()``, or ``lab.job(job.id)`` in another one."""
        call = detached_call(function, args, kwargs, pool=pool, timeout_s=timeout_s, needs=needs, trace=cells.place())
        return self.portal.run(lambda: begin_job(call, self.backend, self.portal))

    def job(self, job_id: str) -> Job:
        """The job with this id, from whichever notebook."""
        return Job(job_id, self.backend, self.portal)

    def jobs(self) -> list[JobSummary]:
        """Every job that the host knows, the latest first."""
        return [JobSummary(**one) for one in self.request("jobs.list")]

    # --- the language model -----------------------------------------------------------------------------------

    @property
    def lm(self) -> LmSpec:
        """The language model that steps use unless they name their own."""
        return self.router.lm

    def use_lm(self, model: str, **values: Any) -> LmSpec:
        """Make ``model`` (``provider/name`` or ``local/NAME``) the default. ``values``: ``api_base``, ``api_key``,
        ``temperature``, ``max_tokens``, ``timeout_s``. A key that is not given is taken from the notebook's own
        environment (``OPENAI_API_KEY`` and the like) when the model is of that provider. Of the settings that are not
        given, the key and the address go with the model before; the figures stay. Raises ``ConfigurationError``."""
        self.settings = self.settings.with_lm(model, **values)
        self.router.lm = self._lm_spec()
        return self.router.lm

    def _lm_spec(self) -> LmSpec:
        settings = self.settings
        return LmSpec(
            model=settings.lm,
            api_base=settings.lm_api_base,
            api_key=api_key_for(settings.lm, settings.lm_api_key),
            temperature=settings.lm_temperature,
            max_tokens=settings.lm_max_tokens,
            timeout_s=settings.lm_timeout_s,
        )

    # --- the end ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Cancel what is under way and leave the host, which goes on. Safe to call twice, and in a fork."""
        if self.is_closed:  # in a fork another thread may have the lock for ever
            return
        with self._closing:
            if self._is_closed:
                return
            self._is_closed = True
        atexit.unregister(self.close)
        with contextlib.ExitStack() as ends:  # whatever becomes of one, the others have their end; the last first
            ends.callback(self.journal.close)
            ends.callback(self.router.caches.close)
            ends.callback(self.portal.close)
            ends.callback(self.portal.run, self.backend.aclose)
            ends.callback(self.observer.close)
            ends.callback(self._telling.cancel)
            ends.callback(self.portal.call_soon, self.recorder.flush, self.backend.tell)
            ends.callback(self.panels.clear)
            ends.callback(self.batches.close)
            ends.callback(self.launcher.leave_all)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, or belongs to the process that this one is a fork of."""
        return self._is_closed or self.portal.is_closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Lab [{'closed' if self.is_closed else 'open'}, lm: {self.lm.model}, {self.backend!r}]>"


_lock = threading.Lock()
_current: Lab | None = None
# In a fork nobody gives back what another thread had taken: the lab that was just being made.
os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.Lock()))


def current_lab() -> Lab:
    """The lab that the public functions use; made when it is first asked for."""
    global _current
    with _lock:
        if _current is None or _current.is_closed:
            _current = Lab()
        return _current


def cell_ended(number: int | None, error: BaseException | None) -> None:
    """A cell of the notebook came to its end; told on by the lab that is there, if any."""
    span = cells.end(number, error)
    if span is not None and _current is not None:
        _current.recorder.add_span(span)


def warm_up() -> None:
    """Make the current lab and begin to connect it to its host, unless there is a lab already. Raises nothing: what
    goes wrong shows with the first call."""
    if _current is not None:
        return
    try:
        current_lab().start_in_background()
    except Exception:
        log.debug("The lab could not be warmed up.", exc_info=True)


def use_lab(lab: Lab | None) -> Lab | None:
    """Make ``lab`` the current one; returns the one before it, which is not closed."""
    global _current
    with _lock:
        before, _current = _current, lab
    return before
