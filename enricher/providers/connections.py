"""Connections to one server, kept warm: whoever needs one gets the one that was used last.

The library's own pool looks at each of its connections twice a request, and asks the system about
each that is idle, so that it costs more with every connection that a burst leaves behind. CPU per
request in ms, at 500 requests/s and with 100 or 500 connections in use:

| `httpx2.AsyncClient` | 3.3, cannot keep up | 6.2 |
| 32 of them that take turns | 1.8 | 1.9 |
| `httpcore2.AsyncConnectionPool` | 2.8, cannot keep up | 4.4 |
| its connections on a stack | 1.2 | 1.2 |
| the same over `network.py` | 0.9 | 0.9 |

So the pool's part here is to know how a connection is made (TLS, proxy); it is given no request.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.request import getproxies, proxy_bypass

import httpcore2
import httpx2

from enricher.providers.network import Network

IDLE_CONNECTION = 3.0
"""Seconds. Shorter than the idle time-out of common servers (from 5 s), so that a request is never
written to a connection that the server is closing: a submission lost that way would be in doubt."""


class Connections:
    """Connections to the server of one base URL.

    Args:
        base_url: its scheme, host and port count.
        limit: how many may be in use at once.
        network: stands in for the network in tests.
    """

    def __init__(
        self, base_url: httpx2.URL, limit: int, network: httpcore2.AsyncNetworkBackend | None
    ) -> None:
        self.server = httpcore2.URL(
            scheme=base_url.raw_scheme, host=base_url.raw_host, port=base_url.port
        )
        self._origin = self.server.origin
        self._maker = _maker(base_url, network or Network())
        self._places = asyncio.Semaphore(limit)
        self._idle: deque[tuple[float, httpcore2.AsyncConnectionInterface]] = deque()
        self._closed = False

    @asynccontextmanager
    async def one(self) -> AsyncIterator[httpcore2.AsyncConnectionInterface]:
        """A connection for one request; waits while all are in use.

        It is kept if the request was answered to the end, and closed otherwise.
        """
        async with self._places:
            connection = await self._warm() or self._maker.create_connection(self._origin)
            try:
                yield connection
            finally:
                if connection.is_available() and not self._closed:
                    self._idle.append((_now(), connection))
                else:
                    await connection.aclose()

    async def aclose(self) -> None:
        """Close those that are idle now, and the others when they are given back."""
        self._closed = True
        while self._idle:
            await self._idle.pop()[1].aclose()

    async def _warm(self) -> httpcore2.AsyncConnectionInterface | None:
        """The connection used last, if the server has not closed it; those too old are closed."""
        too_old = _now() - IDLE_CONNECTION
        while self._idle and self._idle[0][0] < too_old:
            await self._idle.popleft()[1].aclose()
        while self._idle:
            _, connection = self._idle.pop()
            if not connection.has_expired():
                return connection
            await connection.aclose()
        return None


def _now() -> float:
    return asyncio.get_running_loop().time()


def _maker(
    base_url: httpx2.URL, network: httpcore2.AsyncNetworkBackend
) -> httpcore2.AsyncConnectionPool:
    """What makes connections as the environment wants them (`HTTPS_PROXY`, `SSL_CERT_FILE` …)."""
    if base_url.scheme == "http":  # loopback only: a proxy could not reach it
        return httpcore2.AsyncConnectionPool(network_backend=network)
    tls = httpx2.create_ssl_context()
    if (proxy := _proxy_to(base_url.netloc.decode("ascii"))) is None:
        return httpcore2.AsyncConnectionPool(tls, network_backend=network)
    url = httpcore2.URL(
        scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=b"/"
    )
    if proxy.url.scheme.startswith("socks5"):
        return httpcore2.AsyncSOCKSProxy(url, proxy.raw_auth, tls, network_backend=network)
    return httpcore2.AsyncHTTPProxy(url, proxy.raw_auth, ssl_context=tls, network_backend=network)


def _proxy_to(netloc: str) -> httpx2.Proxy | None:
    proxies = getproxies()
    proxy = proxies.get("https") or proxies.get("all")
    if not proxy or proxy_bypass(netloc):
        return None
    return httpx2.Proxy(proxy if "://" in proxy else f"http://{proxy}")
