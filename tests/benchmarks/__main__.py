"""``python -m tests.benchmarks [NAME ...]``: measure, print one table, keep it in ``build/bench.json``.

A benchmark is a module beside this file with ``def rows() -> list[Row]``; without names all of them run. A figure
that misses its aim is said so and is no failure; a benchmark that breaks is one.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.benchmarks.table import Row, render, to_dicts

__all__ = ["main"]

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "build" / "bench.json"
NOT_BENCHMARKS = {"__main__", "kernel", "peers", "table"}


def main(names: list[str]) -> int:
    """Exit status 0 when every benchmark ran to its end."""
    known = sorted({path.stem for path in HERE.glob("*.py")} - NOT_BENCHMARKS)
    unknown = set(names) - set(known)
    if unknown:
        print(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="dxl-bench-", dir="/tmp") as folder:
        # Measured on a host of its own, never on the user's.
        os.environ["DSPEX_LAB_RUNTIME_DIR"] = f"{folder}/lab"
        os.environ["DSPEX_LAB_DATA_DIR"] = f"{folder}/data"
        rows, broken = _measure(names or known)
    print(render(rows))
    missed = [row.name for row in rows if row.is_met is False]
    print(f"\n{len(rows)} figures; {len(missed)} missed{': ' if missed else ''}{', '.join(missed)}")
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    _keep(rows)
    if broken:
        print(f"Broken: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


def _measure(names: list[str]) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    broken = []
    for name in names:
        began = time.monotonic()
        print(f"… {name}", file=sys.stderr, end="", flush=True)
        try:
            rows += importlib.import_module(f"tests.benchmarks.{name}").rows()
        except Exception:
            broken.append(name)
            print(f"\n{traceback.format_exc()}", file=sys.stderr)
        print(f" {time.monotonic() - began:.1f} s", file=sys.stderr)
    return rows, broken


def _keep(rows: list[Row]) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    machine = {"platform": platform.platform(), "cpus": os.cpu_count(), "python": platform.python_version()}
    kept = {"time": time.time(), "machine": machine, "rows": to_dicts(rows)}
    RESULTS.write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
