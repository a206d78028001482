"""The figures without a kernel, and plotly's script from the server itself."""

from __future__ import annotations

import gzip

from dspex_lab.widgets.plotly_script import find_script
from tests.unit.server.conftest import TOKEN, Server


def test_without_a_host_there_are_no_figures(server: Server) -> None:
    """The panel is told so, and none is started."""
    told = server.get("metrics")
    assert (told["has_host"], told["series"], told["history"], told["trouble"]) == (False, [], {}, "")
    assert server.status()["is_running"] is False


def test_plotly_is_served_by_the_server_itself(server: Server) -> None:
    """The package's own script, compressed: no page has to ask the network for it."""
    answer = server.ask("plotly", Authorization=f"token {TOKEN}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/gzip"
    script = find_script()
    assert script is not None
    assert gzip.decompress(answer.content) == script.read_bytes()
