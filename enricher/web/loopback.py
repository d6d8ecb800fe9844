"""A port on loopback, and the server behind it."""

import os
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from enricher.errors import CannotGoOn

HOST = "127.0.0.1"


class LoopbackServer(uvicorn.Server):
    """uvicorn that tells when it is up, and goes down at once and in silence."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    def leave(self) -> None:
        """End soon."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Clients that are there hold a connection for as long as they are.
        for connection in list(self.server_state.connections):
            connection.transport.close()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # The inherited one raises the signal again after a clean exit, which kills the caller.
        self.leave()


def listening(port: int) -> socket.socket:
    """A socket on that port, or on any free one for 0.

    Raises:
        CannotGoOn: the port cannot be had.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere this option would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise CannotGoOn(
            f"It cannot be served on {HOST}:{port}: {error.strerror}.",
            mend="Choose another --port, or leave it out for a free one.",
            code="port_in_use",
        ) from None
    return listener
