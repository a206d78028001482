"""What the pool panel's front end is told, as plain data; ``static/pools_view.js`` names the same fields. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["pools_message"]

_MB = 1024 * 1024
_COUNTERS = ("submitted", "succeeded", "failed", "cancelled", "lost_workers")


def pools_message(
    status: Mapping[str, Any] | None, statistics: Sequence[Mapping[str, Any]] = (), *, trouble: str = ""
) -> dict[str, Any]:
    """The panel of what a host answered to ``status`` (None: no host runs) and to ``statistics``.

    Memory in bytes, CPU in percent of one core; what the host does not tell is None. ``trouble``: why it could not be
    asked.
    """
    found = status or {}
    return {
        "host": None if status is None else _host(status),
        "pools": [_pool(name, pool) for name, pool in found.get("pools", {}).items()],
        "calls": [dict(one) for one in statistics],
        "trouble": trouble,
    }


def _host(status: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": str(status.get("host_id", "")),
        "pid": status.get("pid"),
        "uptime_s": float(status.get("uptime_s", 0.0)),
        "clients": [dict(one) for one in status.get("clients", ())],
        "in_flight": int(status.get("in_flight", 0)),
    }


def _pool(name: str, pool: Mapping[str, Any]) -> dict[str, Any]:
    spec, counters = pool["spec"], pool["counters"]
    workers = [_worker(one) for one in pool["workers"]]
    limit_mb = spec.get("max_memory_mb")
    sessions = pool.get("sessions", ())
    return {
        "name": name,
        "size": spec["size"],
        "queued": pool["queued"],
        "in_flight": sum(one["in_flight"] for one in workers),
        **{one: counters.get(one, 0) for one in _COUNTERS},
        "trouble": pool.get("trouble"),
        "device": pool.get("device", ""),
        "sessions": len(sessions),
        "sessions_waiting": sum(one["worker"] is None and one["waiting"] > 0 for one in sessions),
        "rss_bytes": sum(one["rss_bytes"] for one in workers),
        "max_memory_bytes": None if limit_mb is None else limit_mb * _MB,
        "cpu_percent": _sum(one["cpu_percent"] for one in workers),
        "gpu": pool.get("gpu"),
        "gpu_memory_bytes": _sum(one["gpu_memory_bytes"] for one in workers),
        "workers": workers,
    }


def _worker(worker: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: worker[name] for name in ("id", "state", "pid", "in_flight", "calls_done", "rss_bytes", "cpu_s")}
    return {
        **told,
        "cpu_percent": worker.get("cpu_percent"),
        "gpu_memory_bytes": worker.get("gpu_memory_bytes"),
    }


def _sum(values: Any) -> Any:
    known = [one for one in values if one is not None]
    return sum(known) if known else None
