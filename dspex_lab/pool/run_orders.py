"""Orders about runs that come from outside of their notebooks, and that the notebooks answer: what a run asks is
answered, a run that is over is begun again.

The host knows neither questions nor steps: what was typed goes on as plain data, and the notebook says what came of it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from dspex_lab.calls import new_id
from dspex_lab.errors import ConfigurationError, DeadlineExceeded, LabError
from dspex_lab.pool.broker import Outbox
from dspex_lab.pool.notebook_runs import NotebookRuns
from dspex_lab.wire.messages import Notice

__all__ = ["RunOrders", "Told"]

#: A notebook answers within milliseconds, whatever runs in its cells; one that is stopped does not. Who gave the order
#: waits a little longer than this.
_LIMIT_S = 8.0


@dataclass(frozen=True, slots=True)
class Told:
    """What a notebook answers: whether it has the run, and the order's value or error."""

    has_run: bool
    value: Any = None
    error: LabError | None = None


class RunOrders:
    """The orders that wait for the notebooks of ``runs``, whom ``outbox`` reaches."""

    def __init__(self, runs: NotebookRuns, outbox: Outbox, *, limit_s: float = _LIMIT_S) -> None:
        self._runs = runs
        self._outbox = outbox
        self._limit_s = limit_s
        self._given: dict[str, tuple[bytes, asyncio.Future[Told]]] = {}

    async def give(self, notice: str, run_id: str, **attributes: Any) -> Any:
        """Have the notebook that has the run do what ``notice`` says; what it answers. Where none said whose the run is
        they are asked one after the other, until one has it: nothing is done twice. Raises the notebook's own error,
        ``ConfigurationError`` when nobody has the run, ``DeadlineExceeded`` when a notebook does not answer."""
        try:
            async with asyncio.timeout(self._limit_s):
                for peer in self._runs.asked(run_id):
                    told = await self._ask(peer, notice, {"run_id": run_id, **attributes})
                    if told.error is not None:
                        raise told.error
                    if told.has_run:
                        return told.value
        except TimeoutError:
            raise DeadlineExceeded(
                f"The notebook of the run {run_id[:8]} has not answered within {self._limit_s:g} s.",
                hint="Its kernel may be stopped, or of an older version.",
            ) from None
        raise ConfigurationError(
            f"No notebook has the run {run_id[:8]} any more.",
            "run",
            hint=f'In one of them lab.run("{run_id[:8]}").resume() continues it, if it is a pipeline\'s.',
        )

    def told(self, peer: bytes, order: str, told: Told) -> None:
        """``peer`` answers; what nobody waits for, or another was asked, is passed over."""
        asked, answer = self._given.get(order, (None, None))
        if answer is not None and asked == peer and not answer.done():
            answer.set_result(told)

    def left(self, peer: bytes) -> None:
        """A notebook is gone, and its runs with it."""
        for order in [order for order, (asked, _) in self._given.items() if asked == peer]:
            self.told(peer, order, Told(has_run=False))

    async def _ask(self, peer: bytes, notice: str, attributes: dict[str, Any]) -> Told:
        order = new_id()
        answer: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._given[order] = (peer, answer)
        try:
            self._outbox.send(peer, Notice(notice, {"order": order, **attributes}))
            return await answer
        finally:
            del self._given[order]

    def __repr__(self) -> str:
        return f"<RunOrders [waiting: {len(self._given)}]>"
