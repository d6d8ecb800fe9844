"""The pages: one HTML page, its style and script, events, and metrics. Reading only.

A page of another site must not read them: names other than this machine's are refused, which is
what a rebound DNS name looks like, and no other origin is let in. Other users of this machine reach
the port too: what shows cells stands below a secret, and they find only metrics.
"""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from enricher.web.board import Board

HOSTS = ("127.0.0.1", "localhost")
MOST_WATCHERS = 20
SILENCE = 15.0
"""Seconds after which a comment is sent, so that a watcher who has left is noticed."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Assets:
    """What does not change: texts, and the content type of the metrics."""

    style: str
    script: str
    metrics_type: str


def app_of(board: Board, assets: Assets, secret: str) -> ASGIApp:
    """The application; the page is at `/<secret>/`."""

    async def page(_: Request) -> Response:
        return Response(board.shown.page, media_type="text/html")

    async def style(_: Request) -> Response:
        return Response(assets.style, media_type="text/css")

    async def script(_: Request) -> Response:
        return Response(assets.script, media_type="text/javascript")

    async def metrics(_: Request) -> Response:
        return Response(board.shown.metrics, headers={"content-type": assets.metrics_type})

    async def events(_: Request) -> Response:
        if board.watchers >= MOST_WATCHERS:
            return PlainTextResponse(f"{MOST_WATCHERS} pages are open already", 503)
        return StreamingResponse(_events(board), media_type="text/event-stream")

    async def nothing(_: Request) -> Response:
        return PlainTextResponse("The page is at the address that `enricher serve` printed.", 404)

    return Starlette(
        routes=[
            Route(f"/{secret}/", page),
            Route(f"/{secret}/events", events),
            Route("/", nothing),
            Route("/page.css", style),
            Route("/live.js", script),
            Route("/metrics", metrics),
        ],
        middleware=[
            Middleware(_Guarded),
            Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False),
        ],
    )


async def _events(board: Board) -> AsyncIterator[str]:
    async with aclosing(board.parts(SILENCE)) as parts:
        async for part in parts:
            yield f"event: picture\ndata: {json.dumps(part)}\n\n" if part is not None else ":\n\n"


class _Guarded:
    """Puts the headers on every answer, refusals included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, guarded)
