"""The host's figures as Prometheus reads them, parsed by its own reader."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from dspex_lab.pool.ledger import Ledger
from dspex_lab.telemetry.export import HostCollector
from dspex_lab.testing.host import FakeHost


def samples(status: Any, statistics: Any) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels, in the order of their names."""
    registry = CollectorRegistry()
    registry.register(HostCollector(lambda: status, lambda: statistics))
    text = generate_latest(registry).decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def host_status() -> dict[str, Any]:
    host = FakeHost()
    host.workforce.start(host.workforce.pool("general"))
    host.greet_all()
    worker = host.workforce.workers["general-1"]
    host.workforce.heard(worker, 1024, 2.5)
    host.workforce.pool("general").counters.succeeded = 7
    return {"uptime_s": 5.0, "clients": [{"name": "notebook"}], "pools": host.workforce.statistics()}


def test_without_a_host_one_figure_says_so() -> None:
    """Nothing else is made up."""
    assert samples(None, None) == {("dspex_lab_host_up",): 0.0}


def test_pools_and_workers_are_told() -> None:
    """Taken from what the host itself answers."""
    found = samples(host_status(), None)
    assert found[("dspex_lab_host_up",)] == 1.0
    assert found[("dspex_lab_host_clients",)] == 1.0
    assert found[("dspex_lab_pool_workers", "general", "ready")] == 1.0
    assert found[("dspex_lab_pool_calls_total", "succeeded", "general")] == 7.0
    assert found[("dspex_lab_worker_memory_bytes", "general", "general-1")] == 1024.0
    assert found[("dspex_lab_worker_cpu_seconds_total", "general", "general-1")] == 2.5


def test_calls_are_told_with_their_latency_and_tokens() -> None:
    """As a summary with quantiles, count and sum."""
    host = FakeHost()
    ledger = Ledger(None, host.clock)
    ledger.collector.record("dspy.run", 2.0, pool="general", is_error=True)
    found = samples(None, {"series": ledger.statistics()})
    assert found[("dspex_lab_calls_total", "dspy.run", "general")] == 1.0
    assert found[("dspex_lab_call_errors_total", "dspy.run", "general")] == 1.0
    assert found[("dspex_lab_tokens_total", "input", "dspy.run", "general")] == 0.0
    assert found[("dspex_lab_call_duration_seconds", "dspy.run", "general", "0.5")] == 2.0
    assert found[("dspex_lab_call_duration_seconds_sum", "dspy.run", "general")] == 2.0


def test_registering_asks_nobody() -> None:
    """A server begins without a host, and the registry looks for names when it takes a collector."""

    def asked() -> None:
        raise AssertionError("asked for at registration")

    CollectorRegistry(auto_describe=True).register(HostCollector(asked, asked))
