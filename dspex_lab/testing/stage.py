"""A lab in small for tests of pipelines: a launcher over a scripted backend, and the events that it told.

The caller owns the portal. Knows nothing of pytest.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

from dspex_lab.calls import LmSpec, Usage
from dspex_lab.pipelines import BatchStarter, Launcher, Pipeline, Program
from dspex_lab.pipelines.steps.step import Step
from dspex_lab.portal import Portal
from dspex_lab.router import Decision, Operation, Options, Route, Router, RouterStatistics
from dspex_lab.router.strategies import auto, python
from dspex_lab.telemetry.events import Event, EventHub
from dspex_lab.testing.backend import FakeBackend, FakeCall

__all__ = ["Stage"]


class Stage:
    """A lab in small. ``answers`` maps a field that a signature writes to a function of the inputs to its value;
    a step that writes ``slow`` waits until it is cancelled."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        self.hub = EventHub()
        self.events: list[Event] = []
        self.hub.on("*", self.events.append)
        self.backend = FakeBackend({"dspy.run": self._answer})
        self.router = Router(self.backend, LmSpec("local/tiny"), hub=self.hub, strategy="stage")
        self.router.strategies.register("stage", _no_prompts)
        self.launcher = Launcher(portal, self.router)
        self.start = self.launcher.start
        self.batches = BatchStarter(portal, self.router)
        self.answers: dict[str, Callable[[Mapping[str, Any]], Any]] = {}
        self.is_slow = threading.Event()
        self.was_stopped = threading.Event()

    def pipeline(self, **steps: Any) -> Pipeline:
        return Pipeline("test", steps, start=self.start, start_batch=self.batches.begin)

    def program(self, step: Step) -> Program:
        return Program(step, start=self.start, start_batch=self.batches.begin)

    def told(self, name: str, **attributes: Any) -> list[Mapping[str, Any]]:
        """The attributes of every event ``name`` that has all of ``attributes``."""
        named = [event.attributes for event in self.events if event.name == name]
        return [one for one in named if attributes.items() <= dict(one).items()]

    async def _answer(self, call: FakeCall) -> dict[str, Any]:
        call.add_usage(Usage(10, 5, 0.01, 1))
        inputs = call.call.args["inputs"]
        outputs: dict[str, Any] = {}
        for name in call.call.args["signature"]["text"].split("->")[1].split(","):
            field = name.split(":")[0].strip()
            if field == "slow":
                await call.emit("wait", field)
                await self._wait()
            value = self.answers[field](inputs) if field in self.answers else f"{field} of {','.join(inputs)}"
            for word in str(value).split():
                await call.emit(f"{word} ", field)
            outputs[field] = value
        if call.call.args["kind"] == "chain_of_thought":
            outputs["reasoning"] = "since"
        return outputs

    async def _wait(self) -> None:
        self.is_slow.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.was_stopped.set()


def _no_prompts(operation: Operation, options: Options, statistics: RouterStatistics) -> Decision:
    """As ``auto``, but whole steps are scripted here, and no prompts."""
    decision = auto(operation, options, statistics)
    return python(operation, options, statistics) if decision.route is Route.HYBRID else decision
