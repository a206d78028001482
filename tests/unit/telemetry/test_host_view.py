"""The view of a host: what it says of a status, in text and in HTML."""

from __future__ import annotations

from typing import Any

import pytest

from dspex_lab.telemetry.host_view import HostView


def worker(number: int, state: str, **values: Any) -> dict[str, Any]:
    base = {"pid": 100 + number, "in_flight": 0, "calls_done": 0, "rss_bytes": 50 * 2**20, "cpu_s": 0.5}
    return {"id": f"general-{number}", "state": state, **base, **values}


def pool(*workers: dict[str, Any], **values: Any) -> dict[str, Any]:
    counters = {"submitted": 9, "succeeded": 5, "failed": 2, "cancelled": 1, "lost_workers": 1}
    return {
        "spec": {"size": 8},
        "queued": 3,
        "counters": counters,
        "trouble": None,
        "device": "",
        "workers": list(workers),
        **values,
    }


def status(uptime_s: float = 75.0, clients: int = 1, **pools: Any) -> dict[str, Any]:
    names = [{"name": f"notebook {number}"} for number in range(clients)]
    return {"host_id": "abcd", "pid": 4242, "uptime_s": uptime_s, "clients": names, "pools": pools}


def test_a_pool_is_one_line() -> None:
    """Workers and their states, calls, what is done and the memory of all workers, side by side."""
    busy = worker(2, "busy", in_flight=2)
    view = HostView.from_status(status(general=pool(worker(1, "ready"), busy, worker(3, "ready"))))
    headline, headings, line = repr(view).splitlines()
    assert headline == "Pool host abcd: up 1 min 15 s, pid 4242, 1 notebook"
    assert headings.split() == ["pool", "workers", "state", "calls", "so", "far", "memory"]
    for words in ("3 of 8", "2 ready, 1 busy", "2 running, 3 waiting", "5 done, 2 failed", "150 MB"):
        assert words in line


def test_columns_stand_under_their_headings() -> None:
    """However long a cell is, the lines stay aligned."""
    view = HostView.from_status(status(general=pool(worker(1, "ready")), neural=pool()))
    _, headings, *lines = repr(view).splitlines()
    starts = [headings.index(word) for word in ("workers", "state", "calls", "so far")]
    assert all(line[start - 1] == " " and line[start] != " " for line in lines for start in starts)


@pytest.mark.parametrize(("waiting", "words"), [(1, "1 session waits"), (2, "2 sessions wait")])
def test_sessions_are_told_beside_the_states(waiting: int, words: str) -> None:
    """Workers that are checked out say so, and sessions without one are counted, in text and in HTML."""
    sessions = [{"id": "a", "worker": "general-1", "in_flight": 1, "waiting": 2, "idle_s": 0.0}]
    sessions += [{"id": f"b{n}", "worker": None, "in_flight": 0, "waiting": 1, "idle_s": 0.0} for n in range(waiting)]
    sessions += [{"id": "new", "worker": None, "in_flight": 0, "waiting": 0, "idle_s": 3.0}]
    view = HostView.from_status(status(general=pool(worker(1, "in session"), sessions=sessions)))
    assert f"1 in session, {words}" in repr(view)
    assert f"1 in session, {words}" in view._repr_html_()
    assert [one.is_waiting for one in view.pool("general").sessions] == [False, *[True] * waiting, False]


def test_a_pool_without_workers_is_asleep() -> None:
    """It says so, and claims no memory."""
    line = repr(HostView.from_status(status(neural=pool()))).splitlines()[-1]
    assert "asleep" in line
    assert "MB" not in line


def test_a_pools_device_stands_beside_its_states() -> None:
    """Who asked for a GPU sees which one it is, or that there is none; a host that does not say is believed too."""
    view = HostView.from_status(status(neural=pool(worker(1, "ready"), device="no GPU, on CPU")))
    assert "1 ready, no GPU, on CPU" in repr(view)
    older = pool()
    del older["device"]
    assert HostView.from_status(status(neural=older)).pool("neural").device == ""


def test_trouble_is_said_in_place_of_the_states() -> None:
    """What keeps a pool from starting is what its user must see."""
    view = HostView.from_status(status(general=pool(trouble="no memory <b>left</b>")))
    assert "no memory <b>left</b>" in repr(view)
    assert "asleep" not in repr(view)
    assert "no memory &lt;b&gt;left&lt;/b&gt;" in view._repr_html_()


def test_the_html_form_says_what_the_text_says() -> None:
    """One row for each pool, under a caption."""
    view = HostView.from_status(status(general=pool(worker(1, "ready")), neural=pool()))
    html = view._repr_html_()
    assert html.count("<tr>") == 3
    for words in ("Pool host abcd", "1 of 8", "1 ready", "5 done, 2 failed", "asleep"):
        assert words in html


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "up 0 s"), (59.9, "up 59 s"), (60, "up 1 min 0 s"), (3661, "up 1 h 1 min")]
)
def test_times_are_for_people(seconds: float, words: str) -> None:
    """Seconds, then minutes, then hours."""
    assert words in repr(HostView.from_status(status(uptime_s=seconds)))


def test_several_notebooks_are_counted() -> None:
    """None and two are notebooks, one is a notebook."""
    assert "0 notebooks" in repr(HostView.from_status(status(clients=0)))
    assert "2 notebooks" in repr(HostView.from_status(status(clients=2)))


def test_a_pool_is_found_by_its_name() -> None:
    """``pool`` gives the pool with its sums; an unknown name is a KeyError."""
    view = HostView.from_status(status(general=pool(worker(1, "busy", in_flight=1), worker(2, "busy", in_flight=3))))
    assert view.pool("general").in_flight == 4
    assert view.pool("general").rss_bytes == 100 * 2**20
    with pytest.raises(KeyError):
        view.pool("none")


def test_what_an_inline_backend_reports_is_a_view_too() -> None:
    """A status without pools, host id and age has its text and its HTML."""
    view = HostView.from_status({"pid": 1, "in_flight": 0, "pools": {}, "clients": []})
    assert "pid 1" in repr(view)
    assert "pid 1" in view._repr_html_()
