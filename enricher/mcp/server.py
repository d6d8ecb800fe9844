"""The tools under one roof, over stdio or HTTP on loopback."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from enricher.api.sessions import session
from enricher.api.workspaces import Access
from enricher.mcp.batches import BatchTools
from enricher.mcp.desk import Desk
from enricher.mcp.roots import Roots
from enricher.mcp.workspace import WorkspaceTools
from enricher.web.loopback import HOST, LoopbackServer, listening

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
            await LoopbackServer(config, lambda: on_ready(address)).serve(sockets=[listener])

    with listening(port) as listener:
        asyncio.run(serving())
