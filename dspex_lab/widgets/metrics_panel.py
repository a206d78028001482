"""The panel of the figures: latency, throughput, errors and tokens of all calls of the host, and the runs to compare.

Looking starts no host. Calls are counted by the host, for all notebooks; runs come from the journal.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from dspex_lab.errors import LabError, ProtocolError
from dspex_lab.lab import Lab
from dspex_lab.widgets.metrics_form import metrics_html, metrics_text
from dspex_lab.widgets.metrics_state import metrics_message, run_message
from dspex_lab.widgets.plotly_script import script_part
from dspex_lab.widgets.subject import Subject

__all__ = ["MetricsDesk", "metrics_subject"]

_MAX_RUNS = 20
#: The host counts in steps of five seconds, and an hour of them is much to send.
_INTERVAL_S = 2.0
#: The journal is asked less often than the host.
_RUNS_EVERY_S = 3.0


def metrics_subject(lab: Lab) -> Subject:
    """The figures of the lab's host and of its runs as the subject of a live panel."""
    desk = MetricsDesk(lab)
    return Subject(
        "metrics",
        desk.read,
        metrics_html,
        metrics_text,
        {"plotly": script_part},
        free=frozenset({"plotly"}),
        is_settled=lambda state: bool(state.get("is_closed")),
        interval_s=_INTERVAL_S,
    )


class MetricsDesk:
    """Reads the figures that one lab's host counts, and its latest runs."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._last: dict[str, Any] = {}
        self._runs: list[Mapping[str, Any]] = []
        self._runs_at = float("-inf")
        #: Runs that are over, by id: they are read once.
        self._over: dict[str, Mapping[str, Any]] = {}

    def read(self) -> dict[str, Any]:
        """The state as :func:`~dspex_lab.widgets.metrics_state.metrics_message` makes it. Never raises a ``LabError``:
        what went wrong is its ``trouble``, beside what was known last."""
        lab = self._lab
        if lab.is_closed:
            return {**self._known(), "trouble": "The lab is closed.", "is_closed": True}
        runs = self._latest_runs()
        try:
            statistics = lab.observer.ask("statistics")
        except ProtocolError:
            trouble = "This host is of an older version and tells no figures; %lab stop ends it."
            return metrics_message({}, runs, now=lab.clock.now(), trouble=trouble)
        except LabError as error:
            return {**self._known(), "runs": runs, "trouble": error.message}
        self._last = metrics_message(statistics, runs, now=lab.clock.now())
        return self._last

    def _known(self) -> dict[str, Any]:
        return self._last or metrics_message(None, now=self._lab.clock.now())

    def _latest_runs(self) -> list[Mapping[str, Any]]:
        now = self._lab.clock.monotonic()
        if now - self._runs_at >= _RUNS_EVERY_S:
            with contextlib.suppress(LabError):  # where the journal cannot be read what was read before stays
                self._runs = [self._run(record) for record in self._lab.history.records(limit=_MAX_RUNS)]
            self._runs_at = now
            ids = {one["id"] for one in self._runs}
            self._over = {run_id: run for run_id, run in self._over.items() if run_id in ids}
        return self._runs

    def _run(self, record: Any) -> Mapping[str, Any]:
        known = self._over.get(record.run_id)
        if known is not None and known["status"] == record.state:
            return known
        found = run_message(
            record.run_id,
            record.pipeline,
            record.state,
            started_at=record.started_at,
            duration_s=record.duration_s,
            steps=self._lab.history.run(record.run_id).metrics.items(),
            error="" if record.error is None else str(record.error.get("message", "")),
        )
        if not record.is_under_way:
            self._over[record.run_id] = found
        return found

    def __repr__(self) -> str:
        return f"<MetricsDesk [{len(self._runs)} runs, {self._lab!r}]>"
