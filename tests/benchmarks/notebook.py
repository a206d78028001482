"""What a notebook pays before it begins: ``%load_ext dspex_lab`` in a fresh kernel."""

from __future__ import annotations

import ast

from tests.benchmarks.kernel import execute, fresh_kernel
from tests.benchmarks.table import Row, median

__all__ = ["rows"]

RUNS = 5
AIM_S = 0.3
#: Timed inside the kernel, so that the shell channel's own milliseconds are not counted.
CELL = """
import sys, time
_began = time.perf_counter()
get_ipython().run_line_magic("load_ext", "dspex_lab")
_took = time.perf_counter() - _began
assert "dspex_lab" in get_ipython().extension_manager.loaded, "not an extension"
_heavy = sorted({"dspy", "litellm", "pandas", "ipywidgets"} & set(sys.modules))
"""


def rows() -> list[Row]:
    """Seconds of the cell, and which heavy modules got into the notebook's process."""
    loads = [_load_once() for _ in range(RUNS)]
    took = median(seconds for seconds, _ in loads)
    heavy = {name for _, names in loads for name in names}
    return [
        Row("%load_ext dspex_lab, fresh kernel", took, "s", aim=f"<= {AIM_S} s", is_met=took <= AIM_S),
        Row(
            "heavy modules after %load_ext",
            len(heavy),
            ", ".join(sorted(heavy)),
            aim="no dspy",
            is_met="dspy" not in heavy,
        ),
    ]


def _load_once() -> tuple[float, list[str]]:
    with fresh_kernel() as client:
        values = execute(client, CELL, {"took": "_took", "heavy": "_heavy"})
        return float(values["took"]), list(ast.literal_eval(values["heavy"]))
