"""One kept-alive HTTP client for a worker's engines: as many connections as there are requests under way.

aiohttp, for what a request costs: a third of a millisecond of CPU here, however many are under way, where httpx takes
one alone and twenty with a hundred. Knows nothing of language models.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from urllib.request import getproxies, proxy_bypass

import aiohttp
import certifi
from yarl import URL

__all__ = ["HttpClient"]

_CONNECT_TIMEOUT_S = 10.0


class HttpClient:
    """Posts bodies. Nothing here bounds a request but the making of its connection; redirects are not followed.

    A proxy that the environment names is asked for once for each address. Lives on one event loop, from the first
    request to :meth:`aclose`.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._targets: dict[str, tuple[URL, str | None]] = {}

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Send ``body``; the block has the response, whose connection is used again if it was read to its end.
        Raises ``aiohttp.ClientError``: ``InvalidURL`` for what is no address."""
        target, proxy = self._targets.get(url) or self._find_target(url)
        return self._open_session().post(target, data=body, headers=headers, proxy=proxy, allow_redirects=False)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            # As the rest of Python's HTTP world does: certifi's authorities, unless the environment names others.
            context = ssl.create_default_context(
                cafile=None if "SSL_CERT_DIR" in os.environ else os.environ.get("SSL_CERT_FILE") or certifi.where(),
                capath=os.environ.get("SSL_CERT_DIR"),
            )
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=context),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S),
            )
        return self._session

    def _find_target(self, url: str) -> tuple[URL, str | None]:
        try:
            target = URL(url)
        except ValueError as error:
            raise aiohttp.InvalidURL(url) from error
        if target.scheme not in ("http", "https") or not target.host:
            raise aiohttp.InvalidURL(url)
        self._targets[url] = found = (target, _proxy_for(target))
        return found

    @property
    def is_closed(self) -> bool:
        """Whether it has no connection: it was closed, or nothing was asked yet."""
        return self._session is None

    async def aclose(self) -> None:
        """Close every connection. A later request opens others."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def __repr__(self) -> str:
        return f"<HttpClient [{'closed' if self.is_closed else 'open'}, addresses: {len(self._targets)}]>"


def _proxy_for(url: URL) -> str | None:
    """The proxy that the environment (on a Mac: the system) names for ``url``."""
    proxies = getproxies()
    if proxy_bypass(url.authority):
        return None
    return proxies.get(url.scheme) or proxies.get("all")
