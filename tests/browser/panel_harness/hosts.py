"""What a host answers, made up: pools that are busy, asleep, in trouble."""

from __future__ import annotations

from typing import Any

__all__ = ["STATUS", "status"]

_MB = 1024 * 1024
_GPU = {"memory_bytes": 80 * 1024 * _MB, "used_bytes": 14 * 1024 * _MB, "busy_percent": 61.0, "devices": []}


def _worker(pool: str, number: int, state: str, **more: Any) -> dict[str, Any]:
    told = {"id": f"{pool}-{number}", "pid": 4000 + number, "state": state, "since_s": 12.0, "in_flight": 0}
    return {**told, "calls_done": 31 * number, "rss_bytes": (96 + 40 * number) * _MB, "cpu_s": 3.2 * number, **more}


def _pool(name: str, size: int, workers: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    counters = {"submitted": 0, "succeeded": 0, "failed": 0, "cancelled": 0, "started_workers": 0, "lost_workers": 0}
    spec = {"name": name, "size": size, "max_memory_mb": more.pop("max_memory_mb", 512)}
    told = {"spec": spec, "queued": 0, "trouble": None, "sessions": [], "workers": workers, "device": ""}
    return {**told, "counters": {**counters, **more.pop("counters", {})}, **more}


def status(host_id: str = "7f3a90c2") -> dict[str, Any]:
    """A status as a host of many troubles would tell it."""
    general = [
        _worker("general", 1, "busy", in_flight=1, cpu_percent=97.0),
        _worker("general", 2, "busy", in_flight=1, cpu_percent=64.0),
        _worker("general", 3, "in session", cpu_percent=0.0),
        _worker("general", 4, "ready", cpu_percent=0.0),
        _worker("general", 9, "draining", in_flight=1, cpu_percent=12.0),
        _worker("general", 10, "starting", pid=None, rss_bytes=0, calls_done=0, cpu_s=0.0),
    ]
    session = {"id": "s1", "worker": "general-3", "in_flight": 0, "waiting": 0, "idle_s": 4.0}
    done = {"submitted": 1262, "succeeded": 1241, "failed": 6, "cancelled": 2, "lost_workers": 1}
    neural = [
        _worker("neural", 1, "busy", in_flight=8, rss_bytes=612 * _MB, cpu_percent=188.0, gpu_memory_bytes=900 * _MB)
    ]
    return {
        "host_id": host_id,
        "pid": 3990,
        "uptime_s": 4000.0,
        "clients": [{"name": "notebook 811", "pid": 811, "in_flight": 3}, {"name": "notebook 902", "pid": 902}],
        "in_flight": 24,
        "pools": {
            "general": _pool("general", 8, general, queued=13, sessions=[session], counters=done),
            "optimizer": _pool("optimizer", 2, [], max_memory_mb=4096),
            "neural": _pool("neural", 4, neural, max_memory_mb=8192, device="GPU (NVIDIA H100)", gpu=_GPU),
            "sandbox": _pool("sandbox", 2, [], trouble="Its workers do not start: this system has no Landlock."),
        },
    }


STATUS = status()
