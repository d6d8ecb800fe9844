"""`enricher grid`."""

from typing import Any

import click

from enricher.cli.asking import ASKING, access, show
from enricher.cli.groups import GroupedCommand
from enricher.cli.telling_options import JSON


@click.command("grid", cls=GroupedCommand, short_help="Show a grid: settings, columns and sources.")
@click.argument("grid_id", metavar="ID")
@ASKING
@JSON
def command(grid_id: str, as_json: bool, **given: Any) -> int:
    """Show the grid ID: its settings, columns and sources.

    \b
    enricher grid a1b2c3d4-e5f6-7890-abcd-ef1234567890
    enricher grid a1b2c3d4-e5f6-7890-abcd-ef1234567890 --json
    """
    from enricher.api import workspaces

    show(workspaces.grid(access(given), grid_id), as_json=as_json)
    return 0
