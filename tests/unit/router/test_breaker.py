"""When a circuit opens, rests, probes and closes; and whose fault a failure is."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.calls import LmSpec
from dspex_lab.errors import (
    Cancelled,
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    HostUnavailable,
    ModelError,
    PoolSaturated,
    PythonError,
    ValidationError,
    WorkerLost,
    WorkerMemoryExceeded,
)
from dspex_lab.pipelines import module, native, predict
from dspex_lab.pipelines.steps.step import Leaf
from dspex_lab.router.blame import Verdict, judge, target_of
from dspex_lab.router.breaker import TRANSITIONS, Breaker, BreakerPolicy, Breakers, Circuit, Signal
from dspex_lab.testing import FakeClock

OK, FAILED, NEITHER = Verdict.ANSWERED, Verdict.FAILED, Verdict.NEITHER


class Bench:
    """A breaker, its clock, and a way to let calls end."""

    def __init__(self, **policy: float) -> None:
        self.clock = FakeClock()
        self.policy = BreakerPolicy(**policy)  # type: ignore[arg-type]
        self.breaker = Breaker("openai/big", self.policy, self.clock)

    def end(self, *verdicts: Verdict) -> Circuit:
        for verdict in verdicts:
            self.breaker.record(self.breaker.admit(), verdict)
        return self.breaker.state


@pytest.mark.parametrize("state", Circuit)
@pytest.mark.parametrize("signal", Signal)
def test_the_table_has_every_step_and_no_other(state: Circuit, signal: Signal) -> None:
    """Four steps exist; in a state that knows no such signal there is none."""
    expected = {
        (Circuit.CLOSED, Signal.TOO_MANY_FAILURES): Circuit.OPEN,
        (Circuit.OPEN, Signal.REST_IS_OVER): Circuit.HALF_OPEN,
        (Circuit.HALF_OPEN, Signal.PROBE_ANSWERED): Circuit.CLOSED,
        (Circuit.HALF_OPEN, Signal.PROBE_FAILED): Circuit.OPEN,
    }
    assert TRANSITIONS.get((state, signal)) == expected.get((state, signal))


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([FAILED] * 2, Circuit.CLOSED),
        ([FAILED] * 3, Circuit.OPEN),
        ([FAILED, FAILED, OK, FAILED, FAILED], Circuit.CLOSED),
        ([FAILED, NEITHER, FAILED, NEITHER, FAILED], Circuit.OPEN),
        ([NEITHER] * 20, Circuit.CLOSED),
        ([FAILED, OK] * 4, Circuit.CLOSED),
        ([FAILED, FAILED, OK] * 3 + [FAILED], Circuit.OPEN),
    ],
)
def test_a_circuit_opens_by_failures_in_a_row_or_by_their_rate(verdicts: list[Verdict], expected: Circuit) -> None:
    """Three in a row, or more than half of at least ten; what says nothing counts for neither."""
    assert Bench(failures=3, min_calls=10).end(*verdicts) is expected


def test_old_failures_are_forgotten() -> None:
    """The rate is that of the window, not of all time."""
    bench = Bench(failures=100, min_calls=4, window_s=10)
    bench.end(FAILED, FAILED, FAILED)
    bench.clock.advance(11)
    assert bench.end(FAILED) is Circuit.CLOSED
    assert bench.breaker.statistics().calls == 1


def test_an_open_circuit_refuses_and_says_until_when() -> None:
    """CircuitOpen names the target and the reason; its hint has the time until the next probe."""
    bench = Bench(failures=2, rest_s=30)
    bench.end(FAILED, FAILED)
    bench.clock.advance(18)
    with pytest.raises(CircuitOpen, match="openai/big is left alone for now: 2 failures in a row") as caught:
        bench.breaker.admit()
    assert "in 12 s" in str(caught.value.hint)
    assert caught.value.retry_after_s == 12


def test_a_probe_that_is_answered_closes_the_circuit() -> None:
    """After the rest one call is let through; its answer ends the trouble, and the count begins anew."""
    bench = Bench(failures=2, rest_s=30)
    bench.end(FAILED, FAILED)
    bench.clock.advance(30)
    permit = bench.breaker.admit()
    assert (permit.is_first_probe, bench.breaker.state) == (True, Circuit.HALF_OPEN)
    assert bench.breaker.record(permit, OK)
    assert bench.end(FAILED) is Circuit.CLOSED


def test_a_probe_that_fails_opens_the_circuit_again() -> None:
    """And the whole rest begins again."""
    bench = Bench(failures=2, rest_s=30)
    bench.end(FAILED, FAILED)
    bench.clock.advance(30)
    assert bench.end(FAILED) is Circuit.OPEN
    assert bench.breaker.statistics().next_probe_s == 30


def test_only_so_many_probes_are_out_at_a_time() -> None:
    """The next is refused until one is back; one that says nothing makes room without a decision."""
    bench = Bench(failures=1, rest_s=30, probes=2)
    bench.end(FAILED)
    bench.clock.advance(30)
    first, _second = bench.breaker.admit(), bench.breaker.admit()
    with pytest.raises(CircuitOpen, match="left alone"):
        bench.breaker.admit()
    assert not bench.breaker.record(first, NEITHER)
    assert bench.breaker.admit().generation == first.generation
    assert bench.breaker.state is Circuit.HALF_OPEN


def test_calls_from_before_a_change_move_nothing() -> None:
    """What was let through before the circuit opened may end as it will: only probes decide."""
    bench = Bench(failures=2, rest_s=30)
    early, late = bench.breaker.admit(), bench.breaker.admit()
    bench.end(FAILED, FAILED)
    assert not bench.breaker.record(early, OK)
    bench.clock.advance(30)
    bench.breaker.admit()
    assert not bench.breaker.record(late, FAILED)
    assert bench.breaker.state is Circuit.HALF_OPEN


@given(st.lists(st.tuples(st.sampled_from(Verdict), st.floats(0, 40), st.booleans()), max_size=80))
def test_whatever_happens_a_circuit_is_never_stuck(steps: list[tuple[Verdict, float, bool]]) -> None:
    """After a rest with no call out there is always one that is let through."""
    bench = Bench(failures=2, min_calls=4, rest_s=30)
    out = []
    for verdict, wait_s, ends in steps:
        bench.clock.advance(wait_s)
        with contextlib.suppress(CircuitOpen):
            out.append(bench.breaker.admit())
        if ends and out:
            bench.breaker.record(out.pop(0), verdict)
    for permit in out:
        bench.breaker.record(permit, NEITHER)
    bench.clock.advance(30)
    bench.breaker.admit()
    statistics = bench.breaker.statistics()
    assert 0 <= statistics.failures <= statistics.calls


def test_the_figures_are_told() -> None:
    """Statistics and the one-line repr read as a status line."""
    bench = Bench(failures=2)
    bench.end(OK, FAILED)
    statistics = bench.breaker.statistics()
    assert (statistics.state, statistics.calls, statistics.failures, statistics.consecutive) == ("closed", 2, 1, 1)
    assert repr(bench.breaker) == "<Breaker [openai/big, closed, in a row: 1, refused: 0]>"


def test_each_target_has_its_own_circuit() -> None:
    """One that fails leaves the others alone."""
    breakers = Breakers(BreakerPolicy(failures=1), FakeClock())
    breakers.of("a").record(breakers.of("a").admit(), FAILED)
    assert breakers.of("b").state is Circuit.CLOSED
    assert repr(breakers) == "<Breakers [targets: 2, not closed: a]>"


@pytest.mark.parametrize(
    "values", [{"failures": 0}, {"rate": 0.0}, {"rate": 1.5}, {"min_calls": 0}, {"rest_s": 0.0}, {"probes": 0}]
)
def test_a_policy_that_makes_no_sense_is_refused(values: dict[str, float]) -> None:
    """Counts below 1, shares outside of 0 to 1 and no rest raise at once."""
    with pytest.raises(ValueError, match="breaker policy"):
        BreakerPolicy(**values)  # type: ignore[arg-type]


# --- blame --------------------------------------------------------------------------------------------------------

ASKING = predict("q -> answer")
FUNCTION = native(lambda q: q, writes="x")


@pytest.mark.parametrize(
    ("error", "of_model", "of_pool"),
    [
        (ModelError("down", status=503, retryable=True), FAILED, FAILED),
        (ModelError("broke", retryable=True), FAILED, FAILED),
        (ModelError("slow down", status=429, retryable=True), NEITHER, NEITHER),
        (ModelError("no such model", status=404), NEITHER, NEITHER),
        (DeadlineExceeded("late"), FAILED, NEITHER),
        (WorkerLost("gone"), FAILED, FAILED),
        (WorkerMemoryExceeded("fat"), NEITHER, NEITHER),
        (PoolSaturated("full"), NEITHER, NEITHER),
        (HostUnavailable("none"), NEITHER, NEITHER),
        (Cancelled("stop"), NEITHER, NEITHER),
        (ConfigurationError("wrong"), NEITHER, NEITHER),
        (ValidationError("wrong"), OK, OK),
        (PythonError("KeyError"), NEITHER, OK),
        (KeyError("x"), NEITHER, NEITHER),
    ],
)
def test_only_what_the_target_failed_at_counts(error: Exception, of_model: Verdict, of_pool: Verdict) -> None:
    """The table of errors, for a model and for a pool."""
    assert judge(ASKING.operation, error) is of_model
    assert judge(FUNCTION.operation, error) is of_pool


@pytest.mark.parametrize(
    ("leaf", "lm", "expected"),
    [
        (ASKING, LmSpec("openai/big"), "openai/big"),
        (ASKING, LmSpec("openai/big", api_base="http://here/v1"), "openai/big at http://here/v1"),
        (FUNCTION, LmSpec("openai/big"), "pool general"),
        (module("mine.Program", signature="q -> answer"), LmSpec("openai/big"), "pool general"),
    ],
)
def test_a_target_is_the_model_where_one_is_asked(leaf: Leaf, lm: LmSpec, expected: str) -> None:
    """Model and address, or the pool; a module of the user's own may ask whom it likes."""
    assert target_of(leaf.operation, lm, "general") == expected


def test_a_circuit_says_how_it_is_in_one_line() -> None:
    """Closed ones say so; others say why, and when they will be tried."""
    bench = Bench(failures=2, rest_s=30)
    assert str(bench.breaker.statistics()) == "openai/big: closed"
    bench.end(FAILED, FAILED)
    assert str(bench.breaker.statistics()) == "openai/big: open (2 failures in a row, next probe in 30 s)"
