"""The pools as the front end is told of them, and their static forms."""

from __future__ import annotations

import json
from typing import Any

from dspex_lab.pool.records import WorkerPhase
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.host import FakeHost
from dspex_lab.widgets.pools_form import pools_html, pools_text
from dspex_lab.widgets.pools_state import pools_message

_MB = 1024 * 1024


def status(*specs: PoolSpec, **more: Any) -> dict[str, Any]:
    """What a host with these pools answers."""
    host = FakeHost(*specs)
    pools = host.workforce.statistics()
    return {"host_id": "h1", "pid": 7, "uptime_s": 61.0, "clients": [], "in_flight": 0, "pools": pools, **more}


def test_no_host_is_told_as_none() -> None:
    """Nothing runs: there are no pools."""
    message = pools_message(None)
    assert (message["host"], message["pools"]) == (None, [])


def test_the_message_takes_what_a_host_tells() -> None:
    """A real pool's statistics fit; the message is plain data."""
    message = pools_message(status(PoolSpec(name="general", size=3, max_memory_mb=512)))
    (pool,) = message["pools"]
    assert (pool["name"], pool["size"], pool["max_memory_bytes"]) == ("general", 3, 512 * _MB)
    assert json.loads(json.dumps(message)) == message


def test_what_a_host_does_not_tell_is_none() -> None:
    """An older host tells no CPU in percent."""
    told = status(PoolSpec(name="general", size=1))
    told["pools"]["general"]["workers"] = [_worker("general-1")]
    (pool,) = pools_message(told)["pools"]
    assert (pool["cpu_percent"], pool["workers"][0]["cpu_percent"]) == (None, None)


def test_workers_are_summed() -> None:
    """Memory, CPU and calls of a pool are those of its workers."""
    told = status(PoolSpec(name="general", size=2))
    told["pools"]["general"]["workers"] = [
        _worker("general-1", cpu_percent=50.0, in_flight=1),
        _worker("general-2", cpu_percent=25.0, in_flight=2),
    ]
    (pool,) = pools_message(told)["pools"]
    assert (pool["cpu_percent"], pool["in_flight"], pool["rss_bytes"]) == (75.0, 3, 200 * _MB)


def test_the_static_form_says_what_troubles_a_pool() -> None:
    """A pool in trouble says why, escaped."""
    told = status(PoolSpec(name="sandbox", size=2))
    told["pools"]["sandbox"]["trouble"] = "No <Landlock>."
    assert "No &lt;Landlock&gt;." in pools_html(pools_message(told))
    assert "No <Landlock>." in pools_text(pools_message(told))


def test_the_forms_say_that_no_host_runs() -> None:
    """Without a host the forms say what starts one."""
    for form in (pools_html, pools_text):
        assert "No pool host runs" in form(pools_message(None))


def test_trouble_is_shown_beside_what_was_known() -> None:
    """A host that does not answer is said, in both forms."""
    message = {**pools_message(status(PoolSpec(name="general", size=1))), "trouble": "It does not answer."}
    for form in (pools_html, pools_text):
        assert "It does not answer." in form(message)
        assert "general" in form(message)


def test_the_front_end_has_a_shape_for_each_state() -> None:
    """Every state of a worker has a style of its own."""
    from pathlib import Path

    import dspex_lab.widgets

    css = (Path(dspex_lab.widgets.__file__).parent / "static" / "pools_view.css").read_text()
    states = {phase.value for phase in WorkerPhase} | {"busy", "in-session", "none"}
    assert [one for one in states if f".dspex-pv-is-{one}" not in css] == []


def _worker(worker_id: str, **more: Any) -> dict[str, Any]:
    told = {"id": worker_id, "pid": 1, "state": "busy", "since_s": 1.0, "in_flight": 0}
    return {**told, "calls_done": 0, "rss_bytes": 100 * _MB, "cpu_s": 1.0, **more}
