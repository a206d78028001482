"""Which pool takes a call that says what it needs: a table, and what is said when none will do."""

from __future__ import annotations

import pytest

from dspex_lab.calls import ANY_POOL, Needs
from dspex_lab.errors import ConfigurationError
from dspex_lab.pool.selection import Candidate, choose_pool
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.host import FakeHost
from dspex_lab.wire.messages import Demands, Submit

SMALL = Candidate("small", 512, free=1)
LARGE = Candidate("large", 8192, free=1)
GPU = Candidate("neural", 8192, has_gpu=True, free=1)
TAGGED = Candidate("tagged", 512, labels=frozenset({"eu", "fast"}), free=1)
SANDBOX = Candidate("sandbox", 99_999, is_sandbox=True, free=9)


@pytest.mark.parametrize(
    ("needs", "candidates", "chosen"),
    [
        pytest.param(Needs(), [SANDBOX, LARGE, SMALL, GPU], "small", id="nothing: the smallest, and no sandbox"),
        pytest.param(Needs(memory_mb=513), [SMALL, LARGE, GPU], "large", id="memory: no GPU is wasted"),
        pytest.param(Needs(gpu=True), [SMALL, LARGE, GPU], "neural", id="a GPU"),
        pytest.param(Needs(labels=("eu",)), [SMALL, TAGGED], "tagged", id="a label"),
        pytest.param(Needs(labels=("eu", "fast")), [SMALL, TAGGED], "tagged", id="two labels"),
        pytest.param(Needs(), [Candidate("a", 512), LARGE], "large", id="one that is free before one that is full"),
        pytest.param(
            Needs(), [Candidate("a", 512, waiting=3), Candidate("b", 512, waiting=1)], "b", id="the shortest line"
        ),
    ],
)
def test_the_pool_that_fits_best_is_chosen(needs: Needs, candidates: list[Candidate], chosen: str) -> None:
    """What is free goes first, then what wastes least; the order in which the pools stand changes nothing."""
    assert choose_pool(needs, candidates) == chosen
    assert choose_pool(needs, candidates[::-1]) == chosen


@pytest.mark.parametrize(
    "needs", [Needs(gpu=True), Needs(memory_mb=9000), Needs(labels=("us",))], ids=["gpu", "memory", "label"]
)
def test_where_nothing_fits_the_error_names_what_there_is(needs: Needs) -> None:
    """The user sees what was asked for, every pool, and how to get another."""
    with pytest.raises(ConfigurationError) as caught:
        choose_pool(needs, [SMALL, LARGE, TAGGED, SANDBOX])
    assert str(needs) in caught.value.message
    assert "small (512 MB, CPU)" in (caught.value.hint or "")
    assert "add_pool" in (caught.value.hint or "")


def test_the_host_picks_and_counts_where_the_call_went() -> None:
    """A call for any pool is queued, run and counted in the one that was picked."""
    host = FakeHost(PoolSpec(name="small", size=1, max_memory_mb=128), PoolSpec(name="large", size=1))
    client = host.add_client()
    host.broker.submit(client, Submit("one", "x", ANY_POOL, needs=Demands(memory_mb=400)), ())
    assert host.kernels.started == ["large-1"]
    assert host.workforce.pools["large"].counters.submitted == 1


def test_a_pool_that_is_named_must_have_what_is_needed() -> None:
    """A call is not run where it cannot work, and hears why at once."""
    host = FakeHost(PoolSpec(name="small", size=1, max_memory_mb=128))
    client = host.add_client()
    host.broker.submit(client, Submit("one", "x", "small", needs=Demands(gpu=True)), ())
    host.broker.submit(client, Submit("two", "x", "small", needs=Demands(memory_mb=100)), ())
    assert host.outbox.errors_to(client) == {"one": "ConfigurationError"}
    assert host.kernels.started == ["small-1"]


def test_no_pool_can_take_the_name_that_stands_for_all() -> None:
    """It would be picked by accident."""
    with pytest.raises(ConfigurationError, match="whichever pool fits"):
        PoolSpec.create(name=ANY_POOL)
