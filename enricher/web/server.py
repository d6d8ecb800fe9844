"""The pages on a loopback port, until a signal."""

import asyncio
import secrets
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from enricher.web.app import Assets, app_of
from enricher.web.board import Board
from enricher.web.loopback import HOST, LoopbackServer, listening
from enricher.web.shown import Shown


def serve(
    look: Callable[[], Shown], assets: Assets, port: int, on_ready: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM, then return. Port 0 is any free port.

    Args:
        look: takes a look, in a thread.
        on_ready: is told the address once requests are answered.

    Raises:
        CannotGoOn: the port cannot be had.
        EnricherError: a look failed.
    """
    with listening(port) as listener:
        asyncio.run(_serve(look, assets, listener, on_ready))


async def _serve(
    look: Callable[[], Shown],
    assets: Assets,
    listener: socket.socket,
    on_ready: Callable[[str], None],
) -> None:
    board = Board(look)
    await board.refresh()
    secret = secrets.token_urlsafe(16)
    address = f"http://{HOST}:{listener.getsockname()[1]}/{secret}/"
    server = LoopbackServer(_config(app_of(board, assets, secret)), lambda: on_ready(address))
    looking = asyncio.create_task(board.keep_looking())
    looking.add_done_callback(lambda _: server.leave())
    await server.serve(sockets=[listener])
    looking.cancel()
    await asyncio.wait({looking})
    if not looking.cancelled():
        looking.result()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
