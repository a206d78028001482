"""Answers and reruns through the server and the host to the notebook that has the run, and back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from dspex_lab.lab import Lab
from dspex_lab.pipelines import Pipeline, Run, ask, native
from tests.unit.server.conftest import Server

LIMIT_S = 30.0


@pytest.fixture
def lab(server: Server) -> Iterator[Lab]:
    """A notebook's lab on the server's own host."""
    settings = server.site.settings()
    with Lab(settings) as lab:
        lab.status()
        yield lab
    server.post("host/stop")
    limit = time.monotonic() + LIMIT_S
    while server.status()["is_running"] and time.monotonic() < limit:
        time.sleep(0.2)  # another process
    # The other tests of the server's know no runs.
    for path in settings.trace_file.parent.glob(f"{settings.trace_file.name}*"):
        path.unlink()


def begun(lab: Lab) -> Run:
    """A run that waits for an answer."""
    steps: dict[str, Any] = {
        "reply": native(lambda q: f"Dear {q}"),
        "check": ask("Is this reply all right?", shows=["reply"], answer="approved: bool, stars: int = 3"),
        "last": native(lambda approved, stars: [approved, stars]),
    }
    run = Pipeline("test", steps, start=lab.launcher.start, start_batch=lab.batches.begin).submit(q="x")
    for event in run.events():
        if event.name == "run.question":
            break
    return run


def told(server: Server, run_id: str, status: str) -> dict[str, Any]:
    """The run as the server tells of it, once it has that status: a second passes until a notebook tells the host."""
    limit = time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        rows = {row["run_id"]: row for row in server.get("runs")["runs"]}
        if run_id in rows and rows[run_id]["status"] == status:
            found: dict[str, Any] = server.get(f"runs/{run_id}")
            return found
        time.sleep(0.2)  # another process
    raise AssertionError(f"The run never was {status}.")


def test_a_question_is_answered_and_a_step_run_again(server: Server, lab: Lab) -> None:
    """A wrong answer is 400 with its fault by field, a right one lets the run go on, a late one is 409; the run that is
    over is begun again in its notebook; once that has ended, the way to go on is told."""
    run = begun(lab)
    (question,) = told(server, run.id, "waiting")["state"]["questions"]
    wrong = server.post(f"runs/{run.id}/answer", {"question": question["id"], "values": {"approved": "perhaps"}})
    assert wrong.status_code == 400
    assert [fault["field"] for fault in wrong.json()["error"]["errors"]] == ["approved"]
    right = {"question": question["id"], "values": {"approved": True, "stars": 5}}
    assert server.post(f"runs/{run.id}/answer", right).status_code == 200
    assert run.result(LIMIT_S)["last"] == [True, 5]
    late = server.post(f"runs/{run.id}/answer", right)
    assert (late.status_code, late.json()["error"]["type"]) == (409, "PipelineError")
    over = told(server, run.id, "succeeded")
    assert over["notebook"]
    assert [step["name"] for step in over["state"]["steps"] if step["can_rerun"]] == ["reply", "check", "last"]
    assert server.post(f"runs/{run.id}/rerun", {"step": "nothing"}).status_code == 409
    answer = server.post(f"runs/{run.id}/rerun", {"step": "last"})
    assert answer.status_code == 200
    again = lab.launcher.find(answer.json()["run_id"])
    assert again is not None
    assert again.result(LIMIT_S)["last"] == [True, 5]
    lab.close()
    gone = server.post(f"runs/{run.id}/rerun", {"step": "last"})
    assert gone.status_code == 400
    assert "has ended" in gone.json()["message"]
    assert f'lab.run("{run.id[:8]}").resume() continues it' in gone.json()["message"]
    assert server.get(f"runs/{run.id}")["notebook"] is None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("answer", {}),
        ("answer", {"question": "q"}),
        ("answer", {"question": 1, "values": {}}),
        ("answer", {"question": "q", "values": "approved"}),
        ("rerun", {}),
        ("rerun", {"step": 1}),
    ],
)
def test_an_order_that_is_none_is_refused(server: Server, path: str, body: dict[str, Any]) -> None:
    """400, before anybody is asked."""
    assert server.post(f"runs/r/{path}", body).status_code == 400
