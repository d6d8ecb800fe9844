"""The pages on a loopback port, until a signal."""

import asyncio
import os
import secrets
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from enricher.errors import CannotGoOn
from enricher.web.app import Assets, app_of
from enricher.web.board import Board
from enricher.web.shown import Shown

HOST = "127.0.0.1"


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
    with _listening(port) as listener:
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
    server = _Server(_config(app_of(board, assets, secret)), lambda: on_ready(address))
    looking = asyncio.create_task(board.keep_looking())
    looking.add_done_callback(lambda _: server.leave())
    await server.serve(sockets=[listener])
    looking.cancel()
    await asyncio.wait({looking})
    if not looking.cancelled():
        looking.result()


class _Server(uvicorn.Server):
    """uvicorn that tells when it is up, and goes down at once and in silence."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    def leave(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Pages that are open hold a connection for as long as they are.
        for connection in list(self.server_state.connections):
            connection.transport.close()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # The inherited one raises the signal again after a clean exit, which kills the caller.
        self.leave()


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere this option would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise CannotGoOn(
            f"The page cannot be served on {HOST}:{port}: {error.strerror}.",
            mend="Choose another --port, or leave it out for a free one.",
            code="port_in_use",
        ) from None
    return listener


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
