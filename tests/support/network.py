"""A network in memory with the simulator at its end, for the real HTTP client above it.

The seam is the byte stream: the client's own pool, parser and trace events are at work, so what
counts as *sent* is decided by the same code as on a socket. `Trouble` makes the network or the
server fail in ways that the client cannot tell apart from real ones.
"""

import asyncio
import enum
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h11
import httpcore2

from enricher.simulator import Held, Request, Response, Rules

PREFIX = "/api/v1"
BASE_URL = f"http://simulator{PREFIX}"


class Trouble(enum.Enum):
    """What goes wrong with one request."""

    NO_CONNECTION = "the connection is refused"
    LOST_BEFORE = "the connection breaks before the server has the request"
    SWALLOWED = "the request never arrives, and nobody says so"
    LOST_AFTER = "the server works the request off, and the connection breaks before its answer"
    CUT = "the connection breaks in the middle of the answer"
    HANG = "the server works the request off and never answers"


@dataclass(frozen=True)
class Canned:
    """An answer that comes instead of the simulator's, which never sees the request."""

    status: int
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Raw:
    """Any bytes in place of an answer, after which the server closes or says no more.

    The client finds the connection readable from then on, as it does on a socket when more has come
    than the one answer, or the end.
    """

    data: bytes
    closes: bool = True


@dataclass(frozen=True)
class Altered:
    """The server works the request off, and its answer is changed on the way."""

    change: Callable[[Response], Response]


Happening = Trouble | Canned | Raw | Altered | None
"""What happens to a request; `None` for nothing out of the ordinary."""

Script = Callable[[Request], Happening]


@dataclass(frozen=True)
class Sent:
    """A request as it arrived: loop time in seconds, and what it was."""

    at: float
    request: Request


class SimulatedNetwork(httpcore2.AsyncNetworkBackend):
    """Every address leads to `workspace`; an answer takes `latency` seconds."""

    def __init__(
        self,
        workspace: Rules,
        *,
        latency: float = 0.05,
        script: Script = lambda _: None,
        prefix: str = PREFIX,
    ) -> None:
        self.workspace = workspace
        self.prefix = prefix
        self.latency = latency
        self.script = script
        self.refuse_connections = False
        self.arrived: list[Sent] = []
        self.answering: set[asyncio.Task[None]] = set()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        await asyncio.sleep(self.one_way())
        if self.refuse_connections:
            raise httpcore2.ConnectError("connection refused")
        return _Stream(self)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def one_way(self) -> float:
        """Seconds for bytes to get to the other side."""
        return self.latency / 2

    def take(self, request: Request) -> Happening:
        """A request has left the client; what will happen to it?"""
        self.arrived.append(Sent(asyncio.get_running_loop().time(), request))
        return self.script(request)

    def answered(self, request: Request, response: Response, *, whole: bool) -> None:
        """The client has this answer, or the first part of it."""

    def begin(self, answer: Coroutine[Any, Any, None]) -> None:
        """The server is at work; the client's end changes nothing about that."""
        task = asyncio.get_running_loop().create_task(answer)
        self.answering.add(task)
        task.add_done_callback(self.answering.discard)


class _Stream(httpcore2.AsyncNetworkStream):
    """One connection: the client's end, with the server's HTTP behind it."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self._network = network
        self._server = h11.Connection(h11.SERVER)
        self._incoming: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._broken = False
        self._head: h11.Request | None = None
        self._body = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._incoming.get()
        if data is None:
            self._broken = True
            raise httpcore2.ReadError("connection reset")
        if not data:
            self._incoming.put_nowait(b"")  # the end stays the end
        if len(data) > max_bytes:
            self._incoming.put_nowait(data[max_bytes:])
        return data[:max_bytes]

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._broken:
            raise httpcore2.WriteError("broken pipe")
        if not buffer:  # to h11 that would be the end of the connection
            return
        self._server.receive_data(buffer)
        while (event := self._server.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Request):
                self._head, self._body = event, b""
            elif isinstance(event, h11.Data):
                self._body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and self._head is not None:
                request = _request(self._head, self._body, self._network.prefix)
                self._network.begin(self._answer(request, self._network.take(request)))

    async def aclose(self) -> None:
        """The client leaves; what it asked for goes on at the server."""
        self._broken = True

    def get_extra_info(self, info: str) -> Any:
        return self._broken if info == "is_readable" else None

    async def _answer(self, request: Request, happening: Happening) -> None:
        await asyncio.sleep(self._network.one_way())
        if happening is Trouble.LOST_BEFORE:
            self._incoming.put_nowait(None)
        if happening in (Trouble.LOST_BEFORE, Trouble.SWALLOWED):
            return
        if isinstance(happening, Raw):
            self._broken = True
            for part in (happening.data, b"") if happening.closes else (happening.data,):
                self._incoming.put_nowait(part)
            return
        if isinstance(happening, Canned):
            headers = {"content-type": "application/json", **dict(happening.headers)}
            response = Response(happening.status, headers, happening.body)
        else:
            response = await self._worked_off(request)
        if isinstance(happening, Altered):
            response = happening.change(response)
        await asyncio.sleep(self._network.one_way())
        if happening is Trouble.LOST_AFTER:
            self._incoming.put_nowait(None)
        elif happening is Trouble.CUT:
            self._incoming.put_nowait(self._bytes(response)[:-5])
            self._incoming.put_nowait(None)
        elif happening is not Trouble.HANG:
            self._incoming.put_nowait(self._bytes(response))
            self._server.start_next_cycle()
        if happening not in (Trouble.LOST_AFTER, Trouble.HANG):
            self._network.answered(request, response, whole=happening is not Trouble.CUT)

    async def _worked_off(self, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        answer = self._network.workspace.handle(request, loop.time())
        if isinstance(answer, Held):
            await asyncio.sleep(answer.until - loop.time())
            return self._network.workspace.finish_held(answer.request_id, loop.time())
        return answer

    def _bytes(self, response: Response) -> bytes:
        headers = [*response.headers.items(), ("content-length", str(len(response.body)))]
        head = h11.Response(status_code=response.status, headers=headers)
        parts = (head, h11.Data(data=response.body), h11.EndOfMessage())
        return b"".join(self._server.send(part) or b"" for part in parts)


def _request(head: h11.Request, body: bytes, prefix: str) -> Request:
    target = urlsplit(head.target.decode("ascii"))
    return Request(
        method=head.method.decode("ascii"),
        path=target.path.removeprefix(prefix),
        query=dict(parse_qsl(target.query)),
        headers={name.decode("ascii"): value.decode("ascii") for name, value in head.headers},
        body=body,
    )
