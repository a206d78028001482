"""Plain functions go straight on, off the event loop: nobody waits for them who need not, and they can be left."""

from __future__ import annotations

import contextvars
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from types import FrameType
from typing import Any

import pytest

from dspex_lab.errors import Cancelled, DeadlineExceeded, HostUnavailable, PipelineError
from dspex_lab.pipelines import Launcher, Pipeline, RunState, each, native, parallel, predict, when
from dspex_lab.testing.stage import Stage

LIMIT_S = 10.0
WHO = contextvars.ContextVar("WHO", default="nobody")


class Gate:
    """A function that waits until it is let go."""

    def __init__(self) -> None:
        self.is_reached = threading.Event()
        self.is_open = threading.Event()
        self.is_through = threading.Event()

    def __call__(self, q: Any) -> Any:
        self.is_reached.set()
        self.is_open.wait(LIMIT_S)
        self.is_through.set()
        return q


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.is_open.set()


def at_the_beginning(stage: Stage, gate: Gate) -> Pipeline:
    return stage.pipeline(waiting=native(gate), after=native(lambda waiting: waiting))


def after_a_model(stage: Stage, gate: Gate) -> Pipeline:
    return stage.pipeline(a=predict("text -> q"), waiting=native(gate), after=native(lambda waiting: waiting))


PLACES = pytest.mark.parametrize("build", [at_the_beginning, after_a_model])


def submit(made: Pipeline) -> Any:
    inputs: dict[str, Any] = {one.name: "x" for one in made.plan.inputs}
    return made.submit(**inputs)


# --- going --------------------------------------------------------------------------------------------------------


def test_plain_functions_need_no_event_loop(stage: Stage, gate: Gate) -> None:
    """A chain of them ends while the loop is held up."""
    holding = threading.Thread(target=lambda: stage.portal.call_soon(gate, 1))
    holding.start()
    assert gate.is_reached.wait(LIMIT_S)
    made = stage.pipeline(a=native(lambda q: q + 1), b=native(lambda a: a + 1), c=native(lambda b: b + 1))
    assert made.submit(q=1).result(LIMIT_S).to_dict() == {"a": 2, "b": 3, "c": 4}
    gate.is_open.set()
    holding.join(LIMIT_S)


def test_functions_and_models_take_turns(stage: Stage) -> None:
    """What begins with a function goes on with a model, a branch and a function."""
    made = stage.pipeline(
        q=native(lambda text: text.strip()),
        mood=predict("q -> mood"),
        loud=native(lambda mood: mood.upper()),
        end=when(lambda s: s.loud, then=native(lambda loud: f"{loud}!")),
    )
    assert made(text=" x ").end == "MOOD OF Q!"
    assert [one.status for one in made.last_run.metrics.values()] == ["succeeded"] * 5  # type: ignore[union-attr]


@pytest.mark.parametrize("is_later", [False, True])
def test_functions_beside_one_another_run_at_the_same_time(stage: Stage, is_later: bool) -> None:
    """Two that wait for one another both end, at the beginning and where the way forks."""
    both = threading.Barrier(2)

    def meet(q: str) -> str:
        both.wait(LIMIT_S)
        return q

    steps = {"one": native(meet), "other": native(meet), "end": native(lambda one, other: one + other)}
    if is_later:
        steps = {"q": native(lambda text: text), **steps}
    inputs: dict[str, Any] = {"text" if is_later else "q": "x"}
    result = stage.pipeline(**steps).submit(**inputs).result(LIMIT_S)
    assert (result.end, both.broken) == ("xx", False)


def test_items_run_at_the_same_time(stage: Stage) -> None:
    """A blocking function in each, as many at once as were asked for."""
    all_of_them = threading.Barrier(4)

    def meet(item: int) -> int:
        all_of_them.wait(LIMIT_S)
        return item

    made = stage.pipeline(rows=each(native(meet), over="items", concurrency=4))
    assert made.submit(items=[1, 2, 3, 4]).result(LIMIT_S).rows == [1, 2, 3, 4]
    assert made.last_run is not None
    assert made.last_run.metrics["rows.item"].turns == 4


def test_a_function_that_blocks_holds_up_no_other_run(stage: Stage, gate: Gate) -> None:
    """Another run, with a model in it, ends meanwhile."""
    run = submit(at_the_beginning(stage, gate))
    assert gate.is_reached.wait(LIMIT_S)
    assert stage.pipeline(mood=predict("q -> mood")).submit(q="x").result(LIMIT_S).mood == "mood of q"
    gate.is_open.set()
    assert run.result(LIMIT_S).after == "x"


def test_a_condition_that_blocks_holds_up_no_other_run(stage: Stage, gate: Gate) -> None:
    """A user's condition may take its time."""
    run = stage.pipeline(a=when(lambda s: gate(s.q), then=native(lambda q: q))).submit(q="x")
    assert gate.is_reached.wait(LIMIT_S)
    assert stage.pipeline(mood=predict("q -> mood")).submit(q="x").result(LIMIT_S).mood == "mood of q"
    gate.is_open.set()
    assert run.result(LIMIT_S).a == "x"


def test_functions_see_the_callers_context_and_not_each_others(stage: Stage) -> None:
    """Context variables are the notebook's; what a function sets stays with it."""

    def first(q: str) -> str:
        found = WHO.get()
        WHO.set("first")
        return found

    token = WHO.set("caller")
    try:
        result = stage.pipeline(a=native(first), b=native(lambda a: WHO.get()))(q="x")
    finally:
        WHO.reset(token)
    assert result.to_dict() == {"a": "caller", "b": "caller"}


async def later(q: str) -> str:
    return f"later {q}"


def test_a_plain_function_may_return_something_to_await(stage: Stage) -> None:
    """A lambda around a coroutine works as the coroutine does."""
    assert stage.pipeline(a=native(lambda q: later(q)), b=native(lambda a: a))(q="x").b == "later x"


def test_the_events_are_those_of_every_step(stage: Stage) -> None:
    """What is told of a plain step does not say which way it went."""
    stage.pipeline(a=native(lambda q: q), b=native(lambda a: a))(q="x")
    names = [event.name for event in stage.events]
    step = ["pipeline.step", "router.route", "native.execute", "pipeline.step"]
    assert names == ["run.start", *step, *step, "run.end"]
    assert (stage.router.statistics().calls, stage.router.statistics().in_flight) == (2, 0)
    end = stage.told("pipeline.step", step="b", status="succeeded")[0]
    assert (end["outputs"], end["retries"], end["cached"], end["usage"]["lm_calls"]) == ({"b": "x"}, 0, False, 0)


# --- failing ------------------------------------------------------------------------------------------------------


def test_a_failure_in_the_middle_is_the_routers_business(stage: Stage) -> None:
    """The user's line, the error's own step, one failed call in the books."""

    def fail(a: str) -> str:
        raise ValueError("no")

    with pytest.raises(PipelineError, match="b failed: ValueError: no") as caught:
        stage.pipeline(a=native(lambda q: q), b=native(fail), c=native(lambda b: b))(q="x")
    assert 'raise ValueError("no")' in caught.value.where
    statistics = stage.router.statistics()
    assert (statistics.succeeded, statistics.failed) == (1, 1)
    assert [one["step"] for one in stage.told("pipeline.step", status="failed")] == ["b"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration, GeneratorExit])
def test_nothing_that_a_function_raises_is_lost(stage: Stage, error: type[BaseException]) -> None:
    """What would end a thread or a loop is an error of the step."""

    def fail(q: str) -> str:
        raise error

    with pytest.raises(PipelineError, match=f"a failed: RuntimeError: {error.__name__} was raised"):
        stage.pipeline(a=native(fail)).submit(q="x").result(LIMIT_S)


def test_what_is_left_goes_on_after_a_failure(stage: Stage) -> None:
    """continue_on_error on a walk: what needs the failed step is skipped, and says why."""
    made = stage.pipeline(
        a=native(lambda q: q), b=native(lambda a: 1 / 0), c=native(lambda b: b), d=native(lambda a: a)
    )
    result = made.options(continue_on_error=True)(q="x")
    assert (result.to_dict(), list(result.errors)) == ({"a": "x", "d": "x"}, ["b"])
    assert stage.told("pipeline.step", step="c", status="skipped")[0]["reason"] == "b gave nothing"
    assert result.metrics["c"].reason == "b gave nothing"


# --- stopping -----------------------------------------------------------------------------------------------------


@PLACES
def test_a_function_that_blocks_is_left_behind(stage: Stage, gate: Gate, build: Any) -> None:
    """Cancel ends the run at once; when the function ends, nothing more is told, and nothing follows it."""
    run = submit(build(stage, gate))
    assert gate.is_reached.wait(LIMIT_S)
    assert run.cancel()
    with pytest.raises(Cancelled):
        run.result(LIMIT_S)
    assert run.state is RunState.CANCELLED
    told = list(stage.events)
    assert [one["step"] for one in stage.told("pipeline.step", status="cancelled")] == ["waiting"]
    gate.is_open.set()
    assert gate.is_through.wait(LIMIT_S)
    while stage.portal.threads.statistics().busy:
        stage.portal.run(_turn)
    assert stage.events == told


async def _turn() -> None:
    return None


@PLACES
def test_an_interrupt_ends_the_wait_for_a_function(stage: Stage, gate: Gate, build: Any) -> None:
    """Kernel → Interrupt while a plain function blocks."""
    run = submit(build(stage, gate))
    main = threading.main_thread().ident or 0

    def interrupt() -> None:
        gate.is_reached.wait(LIMIT_S)
        while not _is_in_result(sys._current_frames()[main]):
            gate.is_open.wait(0.001)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run.result(LIMIT_S)
    with pytest.raises(Cancelled):
        run.result(LIMIT_S)


def _is_in_result(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is Future.result.__code__:
            return True
        frame = frame.f_back
    return False


def test_a_cancel_between_two_functions_is_not_lost(stage: Stage) -> None:
    """Whoever hears of a step may cancel the run: no further function begins."""
    ran: list[str] = []
    made = stage.pipeline(a=native(lambda q: ran.append("a")), b=native(lambda a: ran.append("b")))

    def cancel(event: Any) -> None:
        if event.attributes.get("step") == "a" and event.attributes.get("status") == "succeeded":
            stage.launcher.runs[-1].cancel()

    stage.hub.on("pipeline.step", cancel)
    run = made.submit(q="x")
    with pytest.raises(Cancelled):
        run.result(LIMIT_S)
    assert (ran, run.state) == (["a"], RunState.CANCELLED)


def test_a_run_that_is_late_leaves_its_function_behind(stage: Stage, gate: Gate) -> None:
    """The time of a whole run holds for functions that block, too."""
    run = submit(at_the_beginning(stage, gate).options(timeout_s=0.05))
    with pytest.raises(DeadlineExceeded):
        run.result(LIMIT_S)


def test_a_failure_beside_a_function_that_blocks_ends_the_run(stage: Stage, gate: Gate) -> None:
    """The first error ends the run, whatever else goes on."""

    def fail(q: str) -> None:
        gate.is_reached.wait(LIMIT_S)
        raise ValueError("no")

    with pytest.raises(PipelineError, match="bad failed"):
        stage.pipeline(both=parallel(waiting=native(gate), bad=native(fail))).submit(q="x").result(LIMIT_S)


def test_a_closed_lab_starts_nothing(stage: Stage) -> None:
    """Nothing runs on a portal that was closed."""
    made = stage.pipeline(a=native(lambda q: q))
    stage.portal.close()
    with pytest.raises(HostUnavailable, match="closed"):
        made(q="x")


def test_runs_under_way_are_never_forgotten(stage: Stage, gate: Gate) -> None:
    """The launcher lets go of those that are over, and cancels all others."""
    launcher = Launcher(stage.portal, stage.router, remembered=1)
    made = Pipeline("test", {"a": native(gate)}, start=launcher.start)
    runs = [made.submit(q="x") for _ in range(3)]
    assert launcher.cancel_all() == 3
    for run in runs:
        with pytest.raises(Cancelled):
            run.result(LIMIT_S)
    assert len(launcher.runs) == 3
