"""The short way of a plain function: the same outcome, events and counts as the router's own way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dspex_lab.calls import LmSpec, TraceContext
from dspex_lab.errors import ModelError
from dspex_lab.router import (
    Operation,
    Options,
    Outcome,
    Router,
    RunContext,
    call_straight,
    may_be_straight,
    tell_straight,
)
from dspex_lab.telemetry.events import Event, EventHub
from dspex_lab.testing import FakeBackend, FakeClock


class Short:
    """A router, and an operation that takes the short way through it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.events: list[Event] = []
        hub = EventHub(FakeClock())
        hub.on("*", self.events.append)
        self.router = Router(FakeBackend({}), LmSpec("local/tiny"), hub=hub, clock=FakeClock())
        self.context = RunContext(hub.emit, "run", "step", TraceContext("1" * 32, "2" * 16))
        self.operation = Operation("native", "work", ("x",), function=function)

    async def run(self, **inputs: Any) -> Outcome:
        decision = self.router.deciding()(self.operation, Options())
        function, context = self.operation.function, self.context
        assert function is not None
        assert context.trace is not None
        try:
            outputs, took_s = call_straight(
                self.operation,
                function,
                inputs,
                decision,
                self.router.clock,
                send=context.send,
                trace=context.trace,
                run_id=context.run_id,
                step=context.step,
            )
        except Exception as error:
            return await self.router.execute(self.operation, inputs, context=context, begun=error)
        tell_straight(
            self.operation,
            took_s,
            send=context.send,
            trace=context.trace,
            run_id=context.run_id,
            step=context.step,
        )
        self.router.count_straight(decision, 1)
        return Outcome(outputs, decision.route, decision.target, run_s=took_s)


async def both_ways(function: Callable[..., Any], **inputs: Any) -> tuple[list[Any], list[Any]]:
    """What each way gives and tells."""
    found = []
    for is_straight in (True, False):
        short = Short(function)
        try:
            if is_straight:
                outcome = await short.run(**inputs)
            else:
                outcome = await short.router.execute(short.operation, inputs, context=short.context)
            end: Any = (outcome.outputs, outcome.route, outcome.target, outcome.retries)
        except ValueError as error:
            end = str(error)
        found.append([end, [(one.name, dict(one.attributes)) for one in short.events], short.router.statistics()])
    return found[0], found[1]


def fails(q: int) -> int:
    raise ValueError("no")


async def later() -> str:
    return "later"


@pytest.mark.parametrize("function", [lambda q: q + 1, fails, lambda q: later()], ids=["works", "fails", "awaitable"])
async def test_both_ways_are_the_same(function: Callable[..., Any]) -> None:
    """Outcome, events and counts do not say which way a function went."""
    straight, other = await both_ways(function, q=1)
    assert straight == other


async def test_what_may_be_tried_again_is() -> None:
    """A transient error of the first, short try is retried by the router as its policy says."""
    left = [ModelError("busy", "m", retryable=True)]

    def work(q: int) -> int:
        if left:
            raise left.pop()
        return q

    short = Short(work)
    short.router._clock = _Quick()
    outcome = await short.run(q=3)
    assert (outcome.outputs, outcome.retries) == ({"x": 3}, 1)


class _Quick(FakeClock):
    """A clock on which waiting takes no time."""

    async def sleep(self, delay_s: float) -> None:
        return None


@pytest.mark.parametrize(
    ("operation", "options", "expected"),
    [
        (Operation("native", "f", ("x",), function=len), Options(), True),
        (Operation("template", "f", ("x",), function=len), Options(retry=3, stream=False), True),
        (Operation("native", "f", ("x",), function=len), Options(timeout_s=3.0), False),
        (Operation("native", "f", ("x",), function=len), Options(pool="general"), False),
        (Operation("native", "f", ("x",), native_name="registered"), Options(), False),
        (Operation("native", "f", ("x",), function=later), Options(), False),
        (Operation("predict", "p", ("x",)), Options(), False),
    ],
)
def test_who_may_go_the_short_way(operation: Operation, options: Options, expected: bool) -> None:
    """Plain functions of the notebook, of which nothing special is asked."""
    assert may_be_straight(operation, options) is expected
