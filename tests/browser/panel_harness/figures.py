"""What a host counts, made up: an hour of calls with a burst, a slow spell and some errors; and runs to compare."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["NOW", "RUNS", "statistics"]

NOW = 1_795_700_000.0


def statistics(now: float = NOW) -> dict[str, Any]:
    """The answer to ``statistics``."""
    history: dict[str, list[list[float]]] = {"": [], "general": [], "neural": []}
    for place in range(720):
        t = now - now % 5.0 - 5.0 * (719 - place)
        if 380 < place < 400:
            continue  # a pause
        burst = 40 * math.exp(-(((place - 640) / 20) ** 2))
        calls = round(12 + 6 * math.sin(place / 18) + burst)
        slow = 1.0 + 2.2 * math.exp(-(((place - 660) / 12) ** 2)) + 0.1 * math.sin(place / 3)
        errors = 1 if place % 37 == 0 else 4 if 655 < place < 665 else 0
        for name, share, took in (("general", 0.4, 0.08), ("neural", 0.6, 0.62)):
            part = round(calls * share)
            row = [t, part, errors if name == "neural" else 0, part * 180, part * 41]
            history[name].append([*row, took * slow, took * slow * 1.7, took * slow * 2.9])
        whole = [t, calls, errors, round(calls * 180 * 0.6), round(calls * 41 * 0.6)]
        history[""].append([*whole, 0.4 * slow, 0.9 * slow, 1.8 * slow])
    return {"since": now - 4000.0, "history": history, "series": _SERIES}


_SERIES: list[dict[str, Any]] = [
    {
        "op": op,
        "pool": pool,
        "calls": calls,
        "errors": errors,
        "input_tokens": calls * tokens,
        "output_tokens": calls * tokens // 4,
        "cost": None if not tokens else calls * 0.0002,
        "p50_s": p50,
        "p90_s": p50 * 1.8,
        "p99_s": p50 * 3.4,
    }
    for op, pool, calls, errors, tokens, p50 in (
        ("lm.complete", "neural", 6120, 41, 180, 0.61),
        ("dspy.run", "general", 3904, 12, 0, 0.083),
        ("python.call", "general", 210, 0, 0, 0.0021),
    )
]


def _run(number: int, pipeline: str, status: str, scale: float, *, error: str = "") -> dict[str, Any]:
    steps: list[dict[str, Any]] = [
        {
            "name": name,
            "status": "succeeded",
            "duration_s": took * scale * (0.7 + 0.1 * number),
            "input_tokens": 180 if tokens else 0,
            "output_tokens": round(tokens * scale),
            "cost": 0.0002 * scale if tokens else None,
            "retries": 0,
        }
        for name, took, tokens in (
            ("clean", 0.002, 0),
            ("triage", 1.2, 22),
            ("summary", 1.7, 96),
            ("mood", 0.6, 4),
            ("reply", 1.3, 128),
        )
    ]
    return {
        "id": f"{0x3F2A9C11 - number * 7_654_321:08x}{number:024x}",
        "pipeline": pipeline,
        "status": status,
        "started_at": NOW - 300.0 * number,
        "duration_s": sum(one["duration_s"] for one in steps) * 0.8,
        "input_tokens": sum(one["input_tokens"] for one in steps),
        "output_tokens": sum(one["output_tokens"] for one in steps),
        "cost": sum(one["cost"] or 0.0 for one in steps),
        "retries": 0,
        "error": error,
        "steps": steps,
    }


RUNS = [
    _run(1, "support", "succeeded", 1.0),
    _run(2, "support", "succeeded", 1.24),
    _run(3, "digest", "failed", 0.6, error="The step reply failed."),
    _run(4, "support", "succeeded", 0.9),
    _run(5, "digest", "cancelled", 0.3),
]
