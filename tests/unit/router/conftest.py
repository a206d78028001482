"""A router whose language model answers as scripted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from dspex_lab.calls import LmReply, LmRequest, LmSpec, Usage
from dspex_lab.pipelines.steps.step import Leaf
from dspex_lab.router import Account, BreakerPolicy, Budget, Outcome, Router, RunContext
from dspex_lab.telemetry.events import Event, EventHub
from dspex_lab.testing import FakeBackend, FakeCall, FakeClock

__all__ = ["Scripted"]

USED = Usage(10, 5, 0.01, 1)


class Scripted:
    """A router over a model whose ``answers`` (texts, or errors) come one after the other; then "yes" for good."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.answers: list[str | Exception] = []
        self.backend = FakeBackend({"lm.complete": self._complete, "python.call": _call}, clock=self.clock)
        self.hub = EventHub(self.clock)
        self.events: list[Event] = []
        self.hub.on("*", self.events.append)
        policy = BreakerPolicy(failures=3, rest_s=30)
        self.router = Router(self.backend, LmSpec("openai/big"), hub=self.hub, clock=self.clock, breaker_policy=policy)

    async def _complete(self, call: FakeCall) -> Any:
        call.add_usage(USED)
        answer = self.answers.pop(0) if self.answers else "yes"
        if isinstance(answer, Exception):
            raise answer
        text = f"[[ ## answer ## ]]\n{answer}\n\n[[ ## completed ## ]]"
        await call.emit(text)
        return msgspec.to_builtins(LmReply(text, "model", "stop", USED))

    @property
    def models(self) -> list[str]:
        """The models that were asked."""
        return [
            msgspec.convert(call.args["request"], LmRequest).lm.model
            for call in self.backend.calls
            if call.op == "lm.complete"
        ]

    async def run(self, leaf: Leaf, inputs: Mapping[str, Any] | None = None, **more: Any) -> Outcome:
        return await self.router.execute(leaf.operation, inputs or {"q": "?"}, options=leaf.options, **more)

    def context(self, account: Account | None = None, **limits: Any) -> RunContext:
        """A run with a budget."""
        return RunContext(self.hub.emit, "run", "step", account=account or Account(Budget(**limits), self.clock))

    def named(self, name: str) -> list[Mapping[str, Any]]:
        return [event.attributes for event in self.events if event.name == name]


def _call(fake: FakeCall) -> Any:
    return fake.call.args["function"].value(**fake.call.args["kwargs"])


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()
