"""The rules as an ASGI application: bytes in, bytes out, waiting and breaking where they say so.

It is a bare ASGI callable. A routing layer would double the cost of a request, and the rules
know the paths already.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from enricher.simulator.errors import ErrorCode
from enricher.simulator.faults import Fault, Faults
from enricher.simulator.messages import (
    Held,
    Request,
    Response,
    Rules,
    error_body,
    json_response,
)
from enricher.simulator.world import Api

PREFIX = Api.BITSCALE.prefix
"""Where BitScale is served."""

TRANSPORT = "transport"
"""Under this name the server puts a request's connection into `scope["state"]`."""

SLOW_SECONDS = 10.0
_TROUBLES = {
    Fault.LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Fault.BROKEN: HTTPStatus.INTERNAL_SERVER_ERROR,
    Fault.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}
_PAGE = b"<!DOCTYPE html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1>\n"


@dataclass(frozen=True)
class Stand:
    """One API as it is served: below `prefix`, with its description at `/openapi.json`."""

    prefix: str
    rules: Rules
    document: Mapping[str, object] = field(default_factory=dict)


class SimulatorApp:
    """Serves the stands: HTTP only, no web sockets."""

    def __init__(
        self,
        stands: Sequence[Stand],
        clock: Callable[[], float] = time.monotonic,
        faults: Faults | None = None,
    ) -> None:
        self._stands = stands
        self._clock = clock
        self._faults = faults or Faults()
        self._number = 0
        self.struck: Counter[Fault] = Counter()
        """How often each fault happened."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        body = await _whole_body(receive)
        if body is None:
            return
        stand = self._stand(scope["path"])
        if stand is None:
            await _send(_no_such_path(), send)
        elif scope["path"] == f"{stand.prefix}/openapi.json":
            await _send(json_response(HTTPStatus.OK, {}, stand.document), send)
        else:
            await self._serve(
                stand.rules, _request(scope, stand.prefix, body), scope, receive, send
            )

    def _stand(self, path: str) -> Stand | None:
        found = (stand for stand in self._stands if path.startswith(f"{stand.prefix}/"))
        return next(found, None)

    async def _serve(
        self, rules: Rules, request: Request, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._number += 1
        fault = self._faults.of(self._number)
        answer: Response | None = None
        if self._faults.processes(fault, self._number):
            answer = await self._processed(rules, request, receive)
            if answer is None:
                return
        if fault is None and answer is not None:
            await _send(answer, send)
        elif fault is not None:
            self.struck[fault] += 1
            await self._go_wrong(fault, rules, answer, scope, receive, send)

    async def _processed(self, rules: Rules, request: Request, receive: Receive) -> Response | None:
        """The answer, when it is time for it; None if the client went away before."""
        answer = rules.handle(request, self._clock())
        if not isinstance(answer, Held):
            return answer
        if await _gone_within(answer.until - self._clock(), receive):
            return None
        # A timer may fire a hair early; the run has ended all the same.
        return rules.finish_held(answer.request_id, max(self._clock(), answer.until))

    async def _go_wrong(
        self,
        fault: Fault,
        rules: Rules,
        answer: Response | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        if fault in _TROUBLES:
            await _send(_trouble(rules, _TROUBLES[fault], self._clock()), send)
        elif fault is Fault.HTML:
            page = Response(HTTPStatus.BAD_GATEWAY, {"content-type": "text/html"}, _PAGE)
            await _send(page, send)
        elif fault is Fault.HANG:
            await _gone_within(None, receive)
        elif fault is Fault.SLOW and answer is not None:
            if not await _gone_within(SLOW_SECONDS, receive):
                await _send(answer, send)
        else:
            if fault is Fault.TRUNCATE and answer is not None:
                await _send(answer, send, whole=False)
            await _break(scope, receive)


def _trouble(rules: Rules, status: HTTPStatus, now: float) -> Response:
    answer = rules.trouble(status, now)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return answer
    return Response(answer.status, {**answer.headers, "retry-after": "1"}, answer.body)


async def _break(scope: Scope, receive: Receive) -> None:
    """Close the connection under the answer; what was written of it goes out."""
    transport = scope.get("state", {}).get(TRANSPORT)
    if transport is None:
        raise ConnectionResetError("the simulator breaks the connection")
    transport.close()
    await _gone_within(None, receive)


def _request(scope: Scope, prefix: str, body: bytes) -> Request:
    return Request(
        method=scope["method"],
        path=scope["path"].removeprefix(prefix),
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers={
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        },
        body=body,
    )


def _no_such_path() -> Response:
    code = ErrorCode.NOT_FOUND
    return json_response(code.status, {}, error_body(code.name, code.message("")))


async def _lifespan(receive: Receive, send: Send) -> None:
    """Nothing to set up and nothing to clear."""
    for moment in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{moment}.complete"})


async def _whole_body(receive: Receive) -> bytes | None:
    """The body; None if the client went away before all of it was here."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _gone_within(seconds: float | None, receive: Receive) -> bool:
    """Wait so long (None: for ever), or until the client goes away; its run goes on without it."""
    try:
        async with asyncio.timeout(None if seconds is None else max(0.0, seconds)):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


async def _send(response: Response, send: Send, *, whole: bool = True) -> None:
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in response.headers.items()
    ]
    headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = response.body if whole else response.body[: len(response.body) // 2]
    await send({"type": "http.response.body", "body": body, "more_body": not whole})
