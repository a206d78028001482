"""What a run has spent of its budget is written down with its steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dspex_lab.errors import PipelineError
from dspex_lab.pipelines import Journal, Launcher, Pipeline, Run, predict
from dspex_lab.pipelines.journal.recovery import remembered
from dspex_lab.portal import Portal
from dspex_lab.router import Budget
from dspex_lab.testing.stage import Stage


def test_what_was_spent_is_spent(tmp_path: Path) -> None:
    """A run goes on with what its budget has left, tries that came to nothing counted; a larger one takes its place."""
    with Portal() as portal:
        stage = Stage(portal)
        journal = Journal(tmp_path / "journal.sqlite")
        launcher = Launcher(portal, stage.router, journal=journal)
        made = Pipeline("test", {"a": predict("q -> a"), "b": predict("a -> b: int")}, start=launcher.start)
        # What a writes, and three answers that are no number, take 15 tokens each.
        run = made.options(budget=Budget(max_tokens_total=60)).submit(q="x")
        with pytest.raises(PipelineError, match="do not fit"):
            run.result(10)
        stage.answers["b"] = lambda inputs: 1

        def go_on(**others: Any) -> Run:
            (record,) = journal.runs()
            known = remembered(record, made.plan, journal.steps(record.run_id))
            return launcher.go_on(made.plan, record, {"q": "x"}, known, **others)

        with pytest.raises(PipelineError, match="60 tokens of the 60"):
            go_on().result(10)
        calls = len(stage.backend.calls)
        again = go_on(budget=Budget(max_tokens_total=100))
        assert (again.result(10).b, len(stage.backend.calls)) == (1, calls + 1)
        assert again.account is not None
        assert again.account.spent.lm_calls == calls + 1
        assert journal.runs()[0].options["budget"]["max_tokens_total"] == 100
        journal.close()
