"""What clients may order of the host, without a host: only what the orders themselves decide."""

from __future__ import annotations

from typing import Any

import pytest

from dspex_lab.errors import ConfigurationError
from dspex_lab.pool.jobs import JobBook
from dspex_lab.pool.ledger import Ledger
from dspex_lab.pool.notebook_runs import NotebookRuns
from dspex_lab.pool.orders import Orders
from dspex_lab.pool.run_orders import RunOrders
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.host import FakeHost


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def orders(host: FakeHost) -> Orders:
    # No order here asks for processes.
    kernels: Any = host.kernels
    ledger, runs = Ledger(None, host.clock), NotebookRuns(host.broker.peers, host.outbox)
    jobs, about_runs = JobBook(host.clock), RunOrders(runs, host.outbox)
    return Orders("id", 0.0, host.broker, jobs, runs, about_runs, kernels, ledger, host.clock, list, lambda: None)


def test_statistics_are_plain_data(orders: Orders) -> None:
    """Since when, the series, and the history by name."""
    found = orders.carry_out(b"nb", "statistics", {})
    assert (found["series"], found["history"]) == ([], {})
    assert found["since"] <= found["now"]


def test_a_pool_is_added_again_by_the_same_cell(host: FakeHost, orders: Orders) -> None:
    """Also after it was resized, whose size it keeps; with other values it is another pool."""
    spec = PoolSpec(name="mine", size=2).model_dump()
    orders.carry_out(b"nb", "pools.add", {"spec": spec})
    orders.carry_out(b"nb", "pools.resize", {"name": "mine", "size": 4})
    for same in (spec, spec | {"size": 4}):
        orders.carry_out(b"nb", "pools.add", {"spec": same})
        assert host.workforce.pools["mine"].spec.size == 4
    with pytest.raises(ConfigurationError, match="with other values"):
        orders.carry_out(b"nb", "pools.add", {"spec": spec | {"max_memory_mb": 1024}})
