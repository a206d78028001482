"""Every route asks who it is and where they come from; orders and questions reach the host through them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from dspex_lab.lab import Lab
from dspex_lab.server.handler import ApiHandler
from dspex_lab.server.routes import ROUTES
from dspex_lab.settings import PoolSpec, Settings
from tests.unit.server.conftest import TOKEN, Server

#: A path for each pattern of the table.
PATHS = {
    pattern: re.sub(r"\(\[.*?\)", "general", pattern).replace("(start|resize|restart)", "resize")
    for pattern, _ in ROUTES
}
METHODS = [
    (PATHS[pattern], method.upper(), handler)
    for pattern, handler in ROUTES
    for method in ("get", "post", "put", "patch", "delete")
    if method in vars(handler)
]
LIMIT_S = 30.0


@pytest.fixture(autouse=True)
def _no_host_stays(server: Server) -> Iterator[None]:
    yield
    server.post("host/stop")


def test_the_table_has_every_handler() -> None:
    """No route is left out of the checks below, and each answers at least one method."""
    assert {handler for _, _, handler in METHODS} == {handler for _, handler in ROUTES}
    assert all(issubclass(handler, ApiHandler) for _, handler in ROUTES)
    assert not any("(" in path for path in PATHS.values())


@pytest.mark.parametrize(("path", "method", "handler"), METHODS, ids=lambda one: getattr(one, "__name__", one))
@pytest.mark.parametrize("headers", [{}, {"Authorization": "token wrong"}], ids=["nobody", "a wrong token"])
def test_nobody_is_answered_without_the_token(
    server: Server, path: str, method: str, handler: type[ApiHandler], headers: dict[str, str]
) -> None:
    """Whoever is not known is told nothing: 403, on every route and method."""
    answer = server.ask(path, method, {} if method == "POST" else None, **headers)
    assert answer.status_code == 403, handler
    assert set(answer.json()) <= {"message", "reason"}


@pytest.mark.parametrize(
    ("path", "method"), [(path, method) for path, method, _ in METHODS if method != "GET"], ids=lambda one: one
)
def test_an_order_needs_the_xsrf_cookie_said_again(server: Server, path: str, method: str) -> None:
    """A page of somebody else's has the browser send the cookies, and cannot read them: 403 without their value."""
    with httpx.Client(trust_env=False, timeout=20, follow_redirects=True) as browser:
        browser.get(f"{server.url}api/status?token={TOKEN}")
        browser.get(f"{server.url}login?token={TOKEN}")
        assert any(cookie.startswith("username-") for cookie in browser.cookies), "not logged in"
        url = f"{server.url}dspex-lab/api/{path}"
        assert browser.get(f"{server.url}dspex-lab/api/status").status_code == 200
        refused = browser.request(method, url, json={})
        assert refused.status_code == 403
        assert "_xsrf" in refused.text
        told = browser.request(method, url, json={}, headers={"X-XSRFToken": "made-up"})
        assert told.status_code == 403


def host_of(server: Server) -> Any:
    return server.get("pools")["host"]


def test_only_the_order_to_start_starts_a_host(server: Server) -> None:
    """Other orders say that there is none: 503. A pool that is started has a worker, and is resized and restarted;
    the host ends when it is told to."""
    for path, body in (("pools/general/resize", {"size": 3}), ("pools/general/restart", {}), ("runs/x/cancel", {})):
        assert server.post(path, body).status_code == 503
    assert host_of(server) is None
    assert server.post("pools/general/start").status_code == 200
    told = server.get("pools")
    assert told["host"] is not None
    assert [(pool["name"], len(pool["workers"])) for pool in told["pools"]] == [("general", 1)]
    assert server.post("pools/general/resize", {"size": 3}).status_code == 200
    assert [pool["size"] for pool in server.get("pools")["pools"]] == [3]
    assert server.post("pools/general/restart").status_code == 200
    assert any("host.log" in path for path in server.get("logs")["logs"])
    assert server.post("host/stop").status_code == 200
    limit = time.monotonic() + LIMIT_S
    while host_of(server) is not None and time.monotonic() < limit:
        time.sleep(0.1)  # another process
    assert host_of(server) is None


def test_what_cannot_be_done_is_said(server: Server) -> None:
    """With the host's own words where they are the host's: 400; nothing is a fault of the server's."""
    settings = Settings.create(runtime_dir=server.site.folder, pools=(PoolSpec(name="general", size=1),))
    with Lab(settings) as lab:
        lab.status()
        for pool, body in (
            ("nowhere", {"size": 3}),
            *(("general", body) for body in ({"size": 0}, {"size": "3"}, {"size": True}, {}, [3])),
        ):
            answer = server.post(f"pools/{pool}/resize", body)
            assert answer.status_code == 400, body
            assert answer.json()["message"]


@pytest.mark.parametrize("path", ["pools/general/explode", "pools/gene ral/start", "runs/../nothing", "secrets"])
def test_there_are_no_other_routes(server: Server, path: str) -> None:
    """404, also with the token."""
    assert server.post(path).status_code == 404


def test_a_body_that_is_no_json_is_refused(server: Server) -> None:
    """400, not a fault of the server's."""
    url = f"{server.url}dspex-lab/api/pools/general/resize"
    headers = {"Authorization": f"token {TOKEN}"}
    answer = httpx.post(url, content=b"{", headers=headers, timeout=20, trust_env=False)
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["runs/nothing", "traces/nothing", "traces/t/spans/nothing"])
def test_what_is_not_there_is_not_found(server: Server, path: str) -> None:
    """404 with a word."""
    answer = server.ask(path, Authorization=f"token {TOKEN}")
    assert answer.status_code == 404
    assert "nothing" in answer.json()["message"]


@pytest.mark.parametrize("limit", ["-1", "x", "1e3", "9" * 5000])
def test_a_limit_is_a_number(server: Server, limit: str) -> None:
    """400 for what is none."""
    assert server.ask(f"runs?limit={limit}", Authorization=f"token {TOKEN}").status_code == 400


def test_who_asks_too_often_waits(server: Server) -> None:
    """429 with the seconds until the next try; after those the same user is answered again."""
    with (
        httpx.Client(trust_env=False, timeout=20, headers={"Authorization": f"token {TOKEN}"}) as client,
        ThreadPoolExecutor(8) as pool,  # quick enough together on a machine that is busy
    ):
        answers = list(pool.map(lambda _: client.get(f"{server.url}dspex-lab/api/templates"), range(200)))
    refused = [one for one in answers if one.status_code == 429]
    assert refused
    assert refused[0].headers["retry-after"] == "1"
    assert json.loads(refused[0].text)["retry_after_s"] < 1
    time.sleep(float(refused[-1].json()["retry_after_s"]))  # the server's own clock
    assert server.get("traces") == {"traces": []}
