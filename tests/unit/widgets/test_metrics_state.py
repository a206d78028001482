"""The figures as the front end is told of them, their static forms, and plotly's script in parts."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from typing import Any

import pytest

from dspex_lab.calls import Usage
from dspex_lab.errors import ConfigurationError
from dspex_lab.pipelines.outcome.result import StepMetrics
from dspex_lab.telemetry.static_form import columns, sparkline
from dspex_lab.widgets import plotly_script
from dspex_lab.widgets.metrics_form import metrics_html, metrics_text
from dspex_lab.widgets.metrics_state import HISTORY_COLUMNS, metrics_message, run_message
from dspex_lab.widgets.plotly_script import find_script, script_part

SERIES = {
    "op": "lm.complete", "pool": "neural", "calls": 200, "errors": 3, "input_tokens": 900, "output_tokens": 90,
    "cost": 0.5, "p50_s": 0.2, "p90_s": 0.4, "p99_s": 0.9,
}  # fmt: skip


def figures(*rows: list[float], **more: Any) -> dict[str, Any]:
    told = {"since": 0.0, "series": [SERIES], "history": {"": list(rows)}}
    return metrics_message({**told, **more}, now=1000.0)


def test_no_host_is_told() -> None:
    """Without a host there are no figures, and the forms say so."""
    message = metrics_message(None, now=1.0)
    assert not message["has_host"]
    assert "No pool host runs" in metrics_text(message)
    assert "No pool host runs" in metrics_html(message)


def test_a_host_without_calls_says_so() -> None:
    """A host that has just begun counted nothing yet."""
    assert "No call has ended yet" in metrics_text(metrics_message({}, now=1.0))


def test_the_message_is_plain_data() -> None:
    """Rows are lists, and all of it goes through JSON as it is."""
    message = metrics_message({"series": [SERIES], "history": {"": [(1.0, 1, 0, 0, 0, 0.1, 0.2, 0.3)]}}, now=1.0)
    assert json.loads(json.dumps(message)) == message
    assert len(message["history"][""][0]) == len(HISTORY_COLUMNS)


def test_an_hour_of_rows_is_short() -> None:
    """An hour of all five pools takes less than 250 KB, and loses no figure that matters."""
    rows = [(1_795_700_000.0 + 5 * n, 12, 1, 2160, 492, 0.123456789, 0.23456789, 1.3456789) for n in range(720)]
    message = metrics_message({"history": {str(line): rows for line in range(5)}}, now=1.0)
    assert len(json.dumps(message)) < 250_000
    assert message["history"]["0"][0] == [1_795_700_000, 12, 1, 2160, 492, 0.12346, 0.23457, 1.34568]


def test_the_forms_show_operations_and_their_course() -> None:
    """A row for each operation, and bars for the course."""
    message = figures([900.0, 10, 0, 0, 50, 0.1, 0.2, 0.3], [905.0, 20, 1, 0, 100, 0.1, 0.4, 0.6])
    text = metrics_text(message)
    assert "200 calls · 3 errors (1.5%)" in text
    assert "▅█" in text
    assert "up to 4.0 each second" in text
    assert "lm.complete" in metrics_html(message)


def test_a_pause_is_drawn_as_a_pause() -> None:
    """Five seconds in which nothing ended have no row, and still their place."""
    text = metrics_text(figures([900.0, 10, 0, 0, 0, 0.1, 0.2, 0.3], [915.0, 10, 0, 0, 0, 0.1, 0.2, 0.3]))
    assert "█▁▁█" in text


def test_a_run_is_summed_over_its_steps() -> None:
    """Tokens, cost and retries of a run are those of its steps; a cost that nobody knows is None."""
    steps = [
        ("a", StepMetrics("a", "succeeded", 1.0, Usage(10, 5, 0.25, 1), retries=1)),
        ("b", StepMetrics("b", "succeeded", 2.0, Usage(1, 2, None, 1))),
    ]
    run = run_message("r1", "support", "succeeded", started_at=1.0, duration_s=3.0, steps=steps)
    assert (run["input_tokens"], run["output_tokens"], run["cost"], run["retries"]) == (11, 7, 0.25, 1)
    assert run_message("r", "p", "running", started_at=1.0, duration_s=None, steps=steps[1:])["cost"] is None


def test_runs_are_listed_escaped() -> None:
    """What a user called a pipeline is text."""
    run = run_message("r" * 32, "<i>", "failed", started_at=1.0, duration_s=3.0, steps=[])
    html = metrics_html(metrics_message(None, [run], now=1.0))
    assert "&lt;i&gt;" in html
    assert "<i>" not in html


def test_the_script_comes_whole_in_parts() -> None:
    """The parts together are plotly's own script, compressed."""
    first = script_part(0)
    count = first.value["parts"]
    data = b"".join(script_part(part).buffers[0] for part in range(count))
    path = find_script()
    assert path is not None
    assert gzip.decompress(data) == path.read_bytes()
    assert max(len(script_part(part).buffers[0]) for part in range(count)) < 500_000


def test_without_plotly_the_line_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lacks the extra is told how to get it."""
    monkeypatch.setattr(plotly_script, "find_script", lambda: None)
    with pytest.raises(ConfigurationError) as caught:
        script_part(0)
    assert "dspex-lab[plot]" in str(caught.value.hint)


def test_finding_the_script_imports_no_plotly() -> None:
    """plotly takes long to import and is not needed here."""
    find = "from dspex_lab.widgets.plotly_script import find_script; find_script()"
    code = f"import sys; {find}; print('plotly' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


def test_a_sparkline_is_at_most_so_wide() -> None:
    """Many values share a bar, few have one each; none make none."""
    assert len(sparkline([1.0] * 500, width=40)) == 40
    assert sparkline([0.0, 1.0]) == "▁█"
    assert sparkline([]) == ""
    assert sparkline([0.0, 0.0]) == "▁▁"


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    """Numbers stand to the right."""
    assert columns([("a", "1"), ("bcd", "22")], right=(1,)) == "a     1\nbcd  22"
