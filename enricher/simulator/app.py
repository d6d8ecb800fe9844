"""The rules as an ASGI application: bytes in, bytes out, and waiting where the rules say so.

It is a bare ASGI callable. A routing layer would double the cost of a request, and the rules
know the paths already.
"""

import asyncio
import time
from collections.abc import Callable
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from enricher.simulator.errors import ErrorCode
from enricher.simulator.messages import Held, Request, Response, error_body, json_response
from enricher.simulator.rules import Workspace

PREFIX = "/api/v1"


class SimulatorApp:
    """Serves one workspace below `/api/v1`: HTTP only, neither web sockets nor a lifespan."""

    def __init__(self, workspace: Workspace, clock: Callable[[], float] = time.monotonic) -> None:
        self._workspace = workspace
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _whole_body(receive)
        if body is None:
            return
        answer = self._answer(scope, body)
        if isinstance(answer, Held):
            delay = answer.until - self._clock()
            if await _gone_within(delay, receive):
                return
            # A timer may fire a hair early; the run has ended all the same.
            now = max(self._clock(), answer.until)
            answer = self._workspace.finish_held(answer.request_id, now)
        await _send(answer, send)

    def _answer(self, scope: Scope, body: bytes) -> Response | Held:
        path: str = scope["path"]
        if not path.startswith(f"{PREFIX}/"):
            return _no_such_path()
        request = Request(
            method=scope["method"],
            path=path.removeprefix(PREFIX),
            query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
            headers={
                name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
            },
            body=body,
        )
        return self._workspace.handle(request, self._clock())


def _no_such_path() -> Response:
    code = ErrorCode.NOT_FOUND
    return json_response(code.status, {}, error_body(code.name, code.message("")))


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


async def _gone_within(seconds: float, receive: Receive) -> bool:
    """Wait so long, or until the client goes away; its run goes on without it."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


async def _send(response: Response, send: Send) -> None:
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in response.headers.items()
    ]
    headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
