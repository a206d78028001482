"""The host's figures for Prometheus, through the metrics endpoint that a Jupyter Server has anyway.

``prometheus_client.REGISTRY.register(HostCollector(get_status, get_statistics))``: both functions give what was last
heard of the host, or None, and come back at once: an endpoint must neither start a host nor wait for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["HostCollector"]

Latest = Callable[[], Mapping[str, Any] | None]

_QUANTILES = {"p50_s": "0.5", "p90_s": "0.9", "p99_s": "0.99"}


class HostCollector:
    """A collector for ``prometheus_client``: what :class:`~dspex_lab.pool.orders.Orders` answers to ``status`` and
    ``statistics`` as metrics whose names begin with ``dspex_lab_``."""

    def __init__(self, get_status: Latest, get_statistics: Latest) -> None:
        self._get_status = get_status
        self._get_statistics = get_statistics

    def describe(self) -> Iterator[Metric]:
        """Nothing is asked of a host that may not be there when the collector is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now; called by the registry."""
        status, statistics = self._get_status(), self._get_statistics()
        yield _gauge("dspex_lab_host_up", "Whether a pool host runs.", [({}, int(status is not None))])
        if status is not None:
            yield from _of_host(status)
            yield from _of_pools(status.get("pools") or {})
            yield from _of_workers(status.get("pools") or {})
        if statistics is not None:
            yield from _of_calls(statistics.get("series") or ())


Samples = list[tuple[dict[str, str], float]]


def _of_host(status: Mapping[str, Any]) -> Iterator[Metric]:
    clients = status.get("clients") or ()
    yield _gauge("dspex_lab_host_uptime_seconds", "Since the host began.", [({}, float(status.get("uptime_s") or 0))])
    yield _gauge("dspex_lab_host_clients", "Notebooks that are connected.", [({}, len(clients))])


def _of_pools(pools: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    size: Samples = []
    queued: Samples = []
    workers: Samples = []
    calls: Samples = []
    lost: Samples = []
    for name, pool in pools.items():
        counters, states = pool["counters"], [worker["state"] for worker in pool["workers"]]
        size.append(({"pool": name}, pool["spec"]["size"]))
        queued.append(({"pool": name}, pool["queued"]))
        workers += [({"pool": name, "state": state}, states.count(state)) for state in dict.fromkeys(states)]
        calls += [
            ({"pool": name, "outcome": outcome}, counters[outcome]) for outcome in ("succeeded", "failed", "cancelled")
        ]
        lost.append(({"pool": name}, counters["lost_workers"]))
    yield _gauge("dspex_lab_pool_size", "How many workers a pool may have.", size)
    yield _gauge("dspex_lab_pool_queued_calls", "Calls that wait for a worker.", queued)
    yield _gauge("dspex_lab_pool_workers", "Workers by what they do.", workers)
    yield _counter("dspex_lab_pool_calls", "Calls that ended, by how.", calls)
    yield _counter("dspex_lab_pool_lost_workers", "Workers that died or were ended.", lost)


def _of_workers(pools: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    labelled = [
        ({"pool": name, "worker": worker["id"]}, worker) for name, pool in pools.items() for worker in pool["workers"]
    ]
    memory: Samples = [(labels, worker["rss_bytes"]) for labels, worker in labelled]
    cpu: Samples = [(labels, worker["cpu_s"]) for labels, worker in labelled]
    gpu: Samples = [
        (labels, worker["gpu_memory_bytes"])
        for labels, worker in labelled
        if worker.get("gpu_memory_bytes") is not None
    ]
    yield _gauge("dspex_lab_worker_memory_bytes", "Resident memory of a worker.", memory)
    yield _counter("dspex_lab_worker_cpu_seconds", "Processor time of a worker since its start.", cpu)
    yield _gauge("dspex_lab_worker_gpu_memory_bytes", "Device memory of a worker.", gpu)


def _of_calls(series: Any) -> Iterator[Metric]:
    from prometheus_client.core import Metric

    labelled = [({"op": row["op"], "pool": row["pool"]}, row) for row in series]
    yield _counter("dspex_lab_calls", "Calls that ended.", [(labels, row["calls"]) for labels, row in labelled])
    errors: Samples = [(labels, row["errors"]) for labels, row in labelled]
    yield _counter("dspex_lab_call_errors", "Calls that ended badly.", errors)
    tokens: Samples = [
        ({**labels, "direction": direction}, row[f"{direction}_tokens"])
        for labels, row in labelled
        for direction in ("input", "output")
    ]
    yield _counter("dspex_lab_tokens", "Tokens that language models read and wrote.", tokens)
    cost: Samples = [(labels, row["cost"]) for labels, row in labelled if row.get("cost") is not None]
    yield _counter("dspex_lab_cost_dollars", "What language models cost, where a price is known.", cost)
    took = Metric("dspex_lab_call_duration_seconds", "How long calls took, the queue included.", "summary")
    for labels, row in labelled:
        for key, quantile in _QUANTILES.items():
            took.add_sample(took.name, {**labels, "quantile": quantile}, row[key])
        took.add_sample(f"{took.name}_count", labels, row["calls"])
        took.add_sample(f"{took.name}_sum", labels, row.get("total_s") or 0.0)
    yield took


def _gauge(name: str, what: str, samples: Samples) -> Metric:
    return _metric(name, what, "gauge", name, samples)


def _counter(name: str, what: str, samples: Samples) -> Metric:
    return _metric(name, what, "counter", f"{name}_total", samples)


def _metric(name: str, what: str, kind: str, sample: str, samples: Samples) -> Metric:
    from prometheus_client.core import Metric

    metric = Metric(name, what, kind)
    for labels, value in samples:
        metric.add_sample(sample, labels, value)
    return metric
