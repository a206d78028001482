"""Where a notebook takes orders about its runs from panels elsewhere: cancel one, answer what it asks, begin it again.

Only plain data comes in: the run has its code, and what was typed is checked by the fields of its own question. Knows
neither hosts nor panels; carried out on threads, so that neither a cell nor the event loop holds them up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from dspex_lab.errors import LabError, PipelineError
from dspex_lab.pipelines.launcher import Launcher
from dspex_lab.pipelines.run.run import Run
from dspex_lab.wire.messages import RUN_ANSWER, RUN_CANCEL, RUN_RERUN

__all__ = ["RunDesk", "Tell"]

log = logging.getLogger(__name__)


#: How the host is told what came of an order: an order of its own with parameters, as ``Backend.request`` gives it.
Tell = Callable[..., Awaitable[Any]]


class RunDesk:
    """Takes orders about the runs of ``launcher``."""

    def __init__(self, launcher: Launcher, tell: Tell) -> None:
        self._launcher = launcher
        self._tell = tell
        self._carried_out: set[asyncio.Task[None]] = set()

    def heed(self, name: str, attributes: Mapping[str, Any]) -> None:
        """Do what the notice ``name`` says, if it is known here. Called on the event loop; waits for nothing."""
        if name == RUN_CANCEL:
            self._launcher.cancel(str(attributes.get("run_id")))
        elif name in _ORDERS:
            task = asyncio.get_running_loop().create_task(self._carry_out(name, attributes))
            self._carried_out.add(task)
            task.add_done_callback(self._carried_out.discard)

    async def _carry_out(self, name: str, attributes: Mapping[str, Any]) -> None:
        told: dict[str, Any] = {"order": str(attributes.get("order")), "has_run": True}
        run = self._launcher.find(str(attributes.get("run_id")))
        if run is None:
            told["has_run"] = False
        else:
            try:
                told["value"] = await asyncio.to_thread(_ORDERS[name], run, attributes)
            except LabError as error:
                told["error"] = error.to_dict()
            except Exception as error:  # of the user's own types: who gave the order must hear of it
                told["error"] = PipelineError(f"{type(error).__name__}: {error}").to_dict()
        try:
            await self._tell("runs.told", **told)
        except LabError:
            log.debug("The host did not hear what came of an order.", exc_info=True)

    def __repr__(self) -> str:
        return f"<RunDesk [under way: {len(self._carried_out)}]>"


def _answer(run: Run, attributes: Mapping[str, Any]) -> None:
    values = attributes.get("values")
    run.answer_form(str(attributes.get("question")), values if isinstance(values, Mapping) else {})


def _rerun(run: Run, attributes: Mapping[str, Any]) -> str:
    step = attributes.get("step")
    return run.rerun(None if step is None else str(step)).id


_ORDERS = {RUN_ANSWER: _answer, RUN_RERUN: _rerun}
