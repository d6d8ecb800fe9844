"""The tools under one roof, over stdio or HTTP on loopback."""

import asyncio
import secrets
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from enricher.api.sessions import session
from enricher.api.workspaces import Access
from enricher.errors import CannotGoOn
from enricher.mcp.batches import BatchTools
from enricher.mcp.desk import Desk
from enricher.mcp.roots import Roots
from enricher.mcp.workspace import WorkspaceTools

HOST = "127.0.0.1"

INSTRUCTIONS = """Enriches records through BitScale grids. Runs cost credits, all else is free.

Find a grid with list_grids, and its input labels with get_grid_curl. For one record call run_grid.
For a file call plan_batch, show its figures to the person who pays, then start_batch, then
batch_status until it has ended, then batch_result. Inputs go by label, output columns by id.

Never repeat by yourself what is in doubt: it may have been paid. All requests share the
workspace's limit, usually 5 a second, so do not poll faster than every 2 seconds."""


class _Strict(MCPServer[Any]):
    """Refuses parameters that a tool does not have: a misspelt cap would be no cap."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> Any:
        known = {tool.name: tool.input_schema["properties"] for tool in await self.list_tools()}
        if unknown := sorted(arguments.keys() - known.get(name, arguments)):
            raise ToolError(
                f"{name} has no parameter {', '.join(unknown)}; it has {', '.join(known[name])}."
            )
        return await super().call_tool(name, arguments, context)


def server_at(desk: Desk) -> MCPServer[Any]:
    """The server with all its tools."""
    server = _Strict("enricher", instructions=INSTRUCTIONS, log_level="WARNING")
    WorkspaceTools(desk).add_to(server)
    BatchTools(desk).add_to(server)
    return server


def serve_stdio(access: Access, roots: Sequence[Path]) -> None:
    """Serve one client on standard input and output, until it leaves.

    Raises:
        UsageError: a root is no directory.
    """

    async def serving() -> None:
        async with session(access) as opened:
            await server_at(Desk(opened, Roots(roots))).run_stdio_async()

    asyncio.run(serving())


def serve_http(
    access: Access,
    roots: Sequence[Path],
    port: int,
    secret: str,
    on_ready: Callable[[str], None],
) -> None:
    """Serve on loopback until SIGINT or SIGTERM.

    Args:
        port: 0 for any free one.
        secret: part of the address, so that not everybody on this machine can spend the credits;
            empty for a new one.
        on_ready: is told the address once requests are answered.

    Raises:
        UsageError: a root is no directory.
        CannotGoOn: the port cannot be had.
    """
    path = f"/{secret or secrets.token_urlsafe(16)}/mcp"

    async def serving() -> None:
        async with session(access) as opened:
            app = server_at(Desk(opened, Roots(roots))).streamable_http_app(
                streamable_http_path=path, host=HOST
            )
            config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on")
            address = f"http://{HOST}:{listener.getsockname()[1]}{path}"
            await _Server(config, lambda: on_ready(address)).serve(sockets=[listener])

    with _listening(port) as listener:
        asyncio.run(serving())


class _Server(uvicorn.Server):
    """uvicorn that tells when it is up, and does not wait for clients that hold a connection."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.close()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.should_exit = True


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise CannotGoOn(
            f"Port {port} cannot be had: {error.strerror}.", mend="Name another one with --port."
        ) from None
    return listener
