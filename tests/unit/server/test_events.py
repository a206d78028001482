"""Server-sent events on a real server: told when something changes, from the disk, with or without a host."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dspex_lab.settings import Settings
from dspex_lab.telemetry import Event, TraceStore
from tests.unit.server.conftest import TOKEN, Server

LIMIT_S = 30.0


@pytest.fixture
def store(server: Server) -> Iterator[TraceStore]:
    path = Settings.create(runtime_dir=server.site.folder).trace_file
    with TraceStore(path) as made:
        yield made
    for one in path.parent.glob("traces.sqlite*"):
        one.unlink()


def events(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    """Each event's name and value, as they come."""
    name, limit = "", time.monotonic() + LIMIT_S
    for line in response.iter_lines():
        assert time.monotonic() < limit
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def listen(server: Server, query: str = "") -> Any:
    headers = {"Authorization": f"token {TOKEN}"}
    return httpx.stream(
        "GET", f"{server.url}dspex-lab/api/events{query}", headers=headers, timeout=LIMIT_S, trust_env=False
    )


def test_a_run_is_told_as_it_begins_and_ends(server: Server, store: TraceStore) -> None:
    """The list comes at once, and again with each change of it, whoever wrote it."""
    with listen(server, "?topics=runs") as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        told = events(response)
        assert next(told) == ("runs", {"runs": [], "problem": ""})
        store.append([Event("run.start", time.time(), {"run_id": "r", "pipeline": "support"})])
        name, value = next(told)
        assert (name, [run["status"] for run in value["runs"]]) == ("runs", ["running"])
        store.append([Event("run.end", time.time(), {"run_id": "r", "status": "succeeded", "duration_s": 1.0})])
        name, value = next(told)
        assert (name, [run["status"] for run in value["runs"]]) == ("runs", ["succeeded"])


def test_every_topic_is_told_without_a_host(server: Server) -> None:
    """That there is none is told too; none is started for it."""
    with listen(server) as response:
        told = events(response)
        values = dict(next(told) for _ in range(3))
    assert values == {
        "pools": {"host": None, "pools": [], "calls": [], "trouble": "", "problem": ""},
        "runs": {"runs": [], "problem": ""},
        "traces": {"traces": [], "problem": ""},
    }
    assert not (server.site.folder / "host.json").exists()


def test_a_file_that_cannot_be_read_is_told(server: Server) -> None:
    """As a problem in words, in place of the list; the line stays."""
    path = Settings.create(runtime_dir=server.site.folder).trace_file
    path.write_bytes(b"no database at all" * 100)
    try:
        with listen(server, "?topics=runs") as response:
            name, value = next(events(response))
        assert name == "runs"
        assert "cannot be read" in value["problem"]
    finally:
        path.unlink()


def test_there_are_no_other_topics(server: Server) -> None:
    """400 for one that is not there."""
    assert server.ask("events?topics=pools,secrets", Authorization=f"token {TOKEN}").status_code == 400


def test_no_more_pages_than_so_many_listen(server: Server) -> None:
    """429 with the seconds until the next try."""
    url, headers = f"{server.url}dspex-lab/api/events", {"Authorization": f"token {TOKEN}"}
    limits = httpx.Limits(max_connections=100)
    with (
        httpx.Client(headers=headers, timeout=LIMIT_S, limits=limits, trust_env=False) as client,
        contextlib.ExitStack() as pages,
    ):
        for _ in range(64):
            assert pages.enter_context(client.stream("GET", f"{url}?topics=pools")).status_code == 200
            time.sleep(0.06)  # the limit on questions is by the server's own clock
        refused = client.get(url)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
