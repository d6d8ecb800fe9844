"""The only user of HTTP: one exchange, and the one question that money hangs on: was it sent?

A request counts as sent from the moment its head is handed to the connection (the trace event
`send_request_headers.started`). A failure before that (name, connect, proxy, TLS, waiting for a
connection) has cost nothing and may be repeated; a failure after it may have been processed.

Requests go to the connections of httpcore2, which httpx2 is made of, without the layers above them
(redirects, cookies, retries, authentication): none of them may come between us and the answer, and
without them a request takes half a millisecond less CPU.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import httpcore2
import httpx2

from enricher.model import Json, OnSent, unheard
from enricher.providers.connections import Connections
from enricher.verdicts import Malformed, MaybeSent, NotSent

NetworkBackend = httpcore2.AsyncNetworkBackend

LARGEST_ANSWER = 8 * 1024 * 1024
"""Bytes after decoding; more than that is no answer of these APIs."""

_FAILURES = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.TimeoutException,
    httpx2.DecodingError,
)

_ERRNO = re.compile(r"\[Errno -?\d+\] ")

DEEPEST_JSON = 200
"""Levels; every later step can follow so many."""


def _no_constant(name: str) -> Json:
    raise ValueError(name)


# Made once: `json.loads` and `json.dumps` make theirs anew whenever they are told how.
_DECODER = json.JSONDecoder(parse_constant=_no_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


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
            value = _DECODER.decode(self.body.decode("utf-8"))
            _ENCODER.encode(value).encode("utf-8")
        except (ValueError, RecursionError) as error:
            return Malformed(f"the answer is not JSON that can be used ({type(error).__name__})")
        if _is_deeper(value, DEEPEST_JSON):
            return Malformed(f"the answer is JSON of more than {DEEPEST_JSON} levels")
        return value


def _is_deeper(value: Json, most: int) -> bool:
    """Whether lists and objects are nested more than `most` levels deep."""
    level = [value]
    for _ in range(most + 1):
        whole = [part for part in level if isinstance(part, list | dict)]
        if not whole:
            return False
        level = [part for one in whole for part in (one if isinstance(one, list) else one.values())]
    return True


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
        network: NetworkBackend | None = None,
    ) -> None:
        base = httpx2.URL(base_url)
        self._connections = Connections(base, connections, network)
        self._base_path = base.raw_path.rstrip(b"/")
        self._headers = [
            (b"Host", base.netloc),
            (b"Accept-Encoding", b"gzip, deflate"),
            (b"User-Agent", f"python-httpx2/{httpx2.__version__}".encode()),
        ]

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
        await self._connections.aclose()

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

        request = self._request(method, path, headers, params, content)
        request.extensions = {"trace": trace}
        try:
            async with asyncio.timeout(deadline):
                return await self._answer(request)
        except TimeoutError:
            reason = f"no complete answer within {deadline:g} s"
        except _FAILURES as error:
            reason = _what_happened(error)
        return MaybeSent(reason) if sent else NotSent(reason)

    def _request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        content: bytes | None,
    ) -> httpcore2.Request:
        target = quote(path) + (f"?{urlencode(params)}" if params else "")
        given = [(name.encode("ascii"), text.encode("ascii")) for name, text in headers.items()]
        if content is not None:
            given.append((b"Content-Length", str(len(content)).encode("ascii")))
        server = self._connections.server
        url = httpcore2.URL(
            scheme=server.scheme,
            host=server.host,
            port=server.port,
            target=self._base_path + target.encode("ascii"),
        )
        return httpcore2.Request(method, url, headers=self._headers + given, content=content)

    async def _answer(self, request: httpcore2.Request) -> Answer | Malformed:
        async with self._connections.one() as connection:
            response = await connection.handle_async_request(request)
            try:
                headers = _by_name(response.headers)
                body = bytearray()
                async with aclosing(_decoded(response, headers)) as chunks:
                    async for chunk in chunks:
                        body += chunk
                        if len(body) > LARGEST_ANSWER:
                            return Malformed(f"the answer is larger than {LARGEST_ANSWER} bytes")
            finally:
                await response.aclose()
        return Answer(response.status, headers, bytes(body))


def _what_happened(error: Exception) -> str:
    """What broke, for people: the names of exceptions are for whoever wrote the library."""
    match error:
        case httpcore2.RemoteProtocolError() if "without sending a response" in str(error):
            return "the server closed the connection without an answer"
        case httpcore2.RemoteProtocolError() if "without sending complete" in str(error):
            return "the server closed the connection in the middle of its answer"
        case httpcore2.ProtocolError():
            what = "what came back is no HTTP"
        case httpcore2.ConnectError():
            what = "no connection could be made"
        case httpcore2.WriteError():
            what = "the connection broke while the request was sent"
        case httpcore2.NetworkError():
            what = "the connection broke before the answer was whole"
        case httpcore2.ProxyError():
            what = "the proxy did not let it through"
        case httpx2.DecodingError():
            what = "the answer cannot be unpacked"
        case _:
            what = "the network was too slow"
    cause = error.__cause__
    if isinstance(cause, ConnectionError) and cause.errno:
        return f"{what}: {os.strerror(cause.errno).lower()}"
    return f"{what}: {_ERRNO.sub('', str(error))}".removesuffix(": ")


def _by_name(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_text in raw:
        name, text = raw_name.decode("latin-1").lower(), raw_text.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers


def _decoded(
    response: httpcore2.Response, headers: Mapping[str, str]
) -> AsyncGenerator[bytes, None]:
    """The chunks of the body. httpx2 unpacks; what is not packed is spared the way through it."""
    if "content-encoding" not in headers:
        return response.aiter_stream()
    packed = {"content-encoding": headers["content-encoding"]}
    return httpx2.Response(response.status, headers=packed, stream=_Body(response)).aiter_bytes()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self._response.aiter_stream()) as chunks:
            async for chunk in chunks:
                yield chunk
