"""The only user of HTTP: one exchange, and the one question that money hangs on: was it sent?

A request counts as sent from the moment its head is handed to the connection (the trace event
`send_request_headers.started`). A failure before that (name, connect, proxy, TLS, waiting for a
connection) has cost nothing and may be repeated; a failure after it may have been processed.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpcore2
import httpx2

from enricher.model import Json, OnSent, unheard
from enricher.verdicts import Malformed, MaybeSent, NotSent

LARGEST_ANSWER = 8 * 1024 * 1024
"""Bytes after decoding; more than that is no answer of these APIs."""

IDLE_CONNECTION = 3.0
"""Seconds. Shorter than the idle time-out of common servers (from 5 s), so that a request is never
written to a connection that the server is closing: a submission lost that way would be in doubt."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Json:
        """The parsed body, or `Malformed`.

        NaN, infinities, numbers too long to convert, nesting too deep and text that is no valid
        Unicode are refused here, so that they cannot do harm further on.
        """
        try:
            value = json.loads(self.body.decode("utf-8"), parse_constant=_no_constant)
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
        except (ValueError, RecursionError) as error:
            return Malformed(f"the answer is not JSON that can be used ({type(error).__name__})")
        return value


def _no_constant(name: str) -> Json:
    raise ValueError(name)


class Transport:
    """Connections to one API.

    Args:
        base_url: what stands before every documented path.
        connections: how many requests may be under way at once.
        network: stands in for the network in tests.
    """

    def __init__(
        self,
        base_url: str,
        *,
        connections: int = 1000,
        network: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        limits = httpx2.Limits(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=IDLE_CONNECTION,
        )
        self._client = httpx2.AsyncClient(
            limits=limits,
            timeout=None,
            follow_redirects=False,
            mounts={"http://": None},  # loopback only: a proxy could not reach it
            transport=_over(network, limits) if network else None,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._client.aclose()

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        deadline: float,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        on_sent: OnSent = unheard,
    ) -> Answer | NotSent | MaybeSent | Malformed:
        """Send one request and read its whole answer within `deadline` seconds.

        `on_sent` is called when its head is handed to the connection.
        """
        sent = False

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            nonlocal sent
            started = event.endswith("send_request_headers.started")
            # Through a proxy a request for the tunnel goes ahead: it is not ours.
            if started and info["request"].method != b"CONNECT":
                sent = True
                on_sent()

        request = self._client.build_request(
            method,
            self._base_url + path,
            headers=dict(headers),
            params=params,
            content=content,
            extensions={"trace": trace},
        )
        try:
            async with asyncio.timeout(deadline):
                return await self._answer(request)
        except TimeoutError:
            reason = f"no complete answer within {deadline:g} s"
        except httpx2.RequestError as error:
            reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return MaybeSent(reason) if sent else NotSent(reason)

    async def _answer(self, request: httpx2.Request) -> Answer | Malformed:
        response = await self._client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    return Malformed(f"the answer is larger than {LARGEST_ANSWER} bytes")
        finally:
            await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, bytes(body))


def _over(
    network: httpcore2.AsyncNetworkBackend, limits: httpx2.Limits
) -> httpx2.AsyncBaseTransport:
    """The library's own HTTP over another network; it has no public way to say so."""
    transport = httpx2.AsyncHTTPTransport(limits=limits)
    transport._pool._network_backend = network
    return transport
