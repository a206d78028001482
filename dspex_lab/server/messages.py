"""What the side panel is told of pools, as plain data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["pools_message"]


def pools_message(status: Mapping[str, Any] | None) -> dict[str, Any]:
    """The host and its pools as they answered to ``status``; no pools when there is no host."""
    if status is None:
        return {"host": None, "pools": []}
    host = {
        "id": status["host_id"],
        "pid": status["pid"],
        "uptime_s": status["uptime_s"],
        "clients": status["clients"],
        "in_flight": status["in_flight"],
    }
    return {"host": host, "pools": [_pool(name, pool) for name, pool in status["pools"].items()]}


def _pool(name: str, pool: Mapping[str, Any]) -> dict[str, Any]:
    workers = pool["workers"]
    return {
        "name": name,
        "size": pool["spec"]["size"],
        "queued": pool["queued"],
        "in_flight": sum(worker["in_flight"] for worker in workers),
        **pool["counters"],
        "trouble": pool["trouble"],
        "device": pool.get("device", ""),
        "rss_bytes": sum(worker["rss_bytes"] for worker in workers),
        "max_memory_bytes": pool["spec"]["max_memory_mb"] * 1024 * 1024,
        "workers": list(workers),
    }
