"""`enricher mcp`."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from enricher.cli.asking import ASKING, access
from enricher.cli.groups import PATH, GroupedCommand, option
from enricher.cli.signals import watch
from enricher.cli.telling import say, tell
from enricher.errors import CannotGoOn

SECRET = "ENRICHER_MCP_SECRET"  # noqa: S105  # the name of a variable
WHERE = "Where"


@click.command(
    "mcp", cls=GroupedCommand, short_help="Serve what enricher can do to agents, as MCP tools."
)
@option(
    "--root",
    "roots",
    type=PATH,
    multiple=True,
    metavar="DIR",
    group=WHERE,
    help="Files below this directory may be read and written, no others; repeatable. Default: the"
    " current one.",
)
@option(
    "--http",
    is_flag=True,
    group=WHERE,
    help=f"Serve HTTP on loopback instead of standard input and output. The address has a secret"
    f" part, a new one or that of {SECRET}.",
)
@option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    group=WHERE,
    help="With --http: the port. Default: any free one.",
)
@ASKING
def command(roots: tuple[Path, ...], http: bool, port: int, **given: Any) -> int:
    """Serve what enricher can do to agents, as tools of the Model Context Protocol.

    Clients start it by themselves; docs/mcp.md has their settings. Needs the extra mcp.

    \b
    enricher mcp --root ~/lists
    enricher mcp --root ~/lists --api-key-file ~/bitscale.key
    enricher mcp --http --port 8766
    """
    if find_spec("mcp") is None:
        raise CannotGoOn(
            "The MCP server is an extra that is not installed.",
            mend="Install it: pip install 'enricher[mcp]'.",
            code="extra_missing",
        )
    there = access(given)
    from enricher.mcp import server

    folders = roots or (Path(),)
    if not http:
        say("MCP server on standard input and output; a client starts it.")
        # A read of standard input cannot be called off, and nothing is left to be saved.
        watch.deliver_to(lambda number: os._exit(128 + number))
        server.serve_stdio(there, folders)
        return 0
    server.serve_http(there, folders, port, os.environ.get(SECRET, ""), tell)
    return 0
