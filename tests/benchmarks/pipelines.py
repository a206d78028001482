"""What a pipeline adds to its steps: a chain of trivial native steps beside Haystack's and LangGraph's, and planning.

CPU seconds of the whole process, so that a busy machine moves no figure; telemetry is on: every event is counted, and
told in the bytes in which a host would hear it.
"""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, TypedDict, cast

from dspex_lab.calls import LmSpec
from dspex_lab.pipelines import Launcher, Pipeline, compile_plan, native
from dspex_lab.pipelines.steps.step import Leaf
from dspex_lab.portal import Portal
from dspex_lab.router import Router
from dspex_lab.telemetry import Collector, Event, EventHub, Recorder, Span
from dspex_lab.testing.backend import FakeBackend
from dspex_lab.wire.framing import pack
from dspex_lab.wire.messages import Telemetry
from tests.benchmarks.table import Row, median

__all__ = ["rows"]

STEPS = 10
RUNS = 200
#: Turns of each peer alternate, so that what else the machine does meets them all.
ROUNDS = 5
PLANS = (1_000, 10_000)


def rows() -> list[Row]:
    """Microseconds a step on chains of the same shape, and how planning grows."""
    with Portal() as portal:
        chains = {"ours": _ours(portal), "Haystack": _haystack(), "LangGraph": _langgraph()}
        took = {name: median(one) for name, one in _alternately(chains).items()}
    small, large = (_plan_s(count) for count in PLANS)
    ours = took["ours"]
    return [
        _against("Haystack", ours, took["Haystack"], most=1 / 3),
        _against("LangGraph", ours, took["LangGraph"], most=1 / 10),
        Row(
            f"a plan of {PLANS[1]:,} steps",
            large * 1000,
            "ms",
            f"{PLANS[0]:,} steps",
            small * 1000,
            large / small,
            "<= 12x",
            large / small <= 12,
        ),
    ]


def _against(peer: str, ours: float, theirs: float, *, most: float) -> Row:
    ratio = ours / theirs
    name = f"a step of a chain of {STEPS}"
    return Row(name, ours * 1e6, "µs CPU", peer, theirs * 1e6, ratio, f"<= {most:.2g}x", ratio <= most)


def _alternately(chains: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """CPU seconds per step of each chain, run by run."""
    taken: dict[str, list[float]] = {name: [] for name in chains}
    for name, chain in chains.items():
        value = chain()
        assert value == STEPS, f"{name} gave {value}"
    for _ in range(ROUNDS):
        for name, chain in chains.items():
            for _ in range(RUNS // ROUNDS):
                began = time.process_time()
                chain()
                taken[name].append((time.process_time() - began) / STEPS)
    return taken


def _steps(count: int) -> dict[str, Leaf]:
    return {f"x{number + 1}": native(_add_one, reads=[f"x{number}"]) for number in range(count)}


def _add_one(value: int) -> int:
    return value + 1


def _ours(portal: Portal) -> Callable[[], Any]:
    hub = EventHub()
    hub.on("*", Collector().observe)
    router = Router(FakeBackend({}), LmSpec("local/none"), hub=hub)
    recorder = Recorder()
    portal.start(recorder.serve, _tell)
    made = Pipeline("chain", _steps(STEPS), start=Launcher(portal, router, recorder=recorder).start)
    return lambda: made(x0=0)[f"x{STEPS}"]


def _tell(spans: Sequence[Span], events: Sequence[Event], /) -> bool:
    pack(Telemetry([span.to_dict() for span in spans], cast("list[dict[str, Any]]", list(events))))
    return True


def _plan_s(count: int) -> float:
    """CPU seconds of one plan, the best of some: the rest is what else the machine did."""
    steps = _steps(count)
    taken = []
    for _ in range(5):
        gc.collect()
        began = time.process_time()
        compile_plan("chain", steps)
        taken.append(time.process_time() - began)
    return min(taken)


def _haystack() -> Callable[[], Any]:
    # Its usage statistics go out over the network unless told not to.
    os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
    from haystack import Pipeline as HaystackPipeline
    from haystack import component

    logging.getLogger("haystack").setLevel(logging.ERROR)

    class AddOne:
        @component.output_types(value=int)  # type: ignore[untyped-decorator]  # a peer without types
        def run(self, value: int) -> dict[str, int]:
            return {"value": _add_one(value)}

    add_one = component(AddOne)
    made = HaystackPipeline()
    for number in range(STEPS):
        made.add_component(f"x{number}", add_one())
        if number:
            made.connect(f"x{number - 1}.value", f"x{number}.value")
    return lambda: made.run({"x0": {"value": 0}})[f"x{STEPS - 1}"]["value"]


class _State(TypedDict):
    value: int


def _langgraph() -> Callable[[], Any]:
    os.environ["LANGSMITH_TRACING"] = "false"
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(_State)
    for number in range(STEPS):
        graph.add_node(f"x{number}", lambda state: {"value": _add_one(state["value"])})
        graph.add_edge(START if number == 0 else f"x{number - 1}", f"x{number}")
    graph.add_edge(f"x{STEPS - 1}", END)
    made = graph.compile()
    return lambda: made.invoke({"value": 0})["value"]
