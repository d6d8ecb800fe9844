"""`enricher workspace`."""

from typing import Any

import click

from enricher.cli.asking import ASKING, access, show
from enricher.cli.groups import GroupedCommand
from enricher.cli.telling_options import JSON


@click.command(
    "workspace",
    cls=GroupedCommand,
    short_help="Show the workspace of the key: plan, credits, members.",
)
@ASKING
@JSON
def command(as_json: bool, **given: Any) -> int:
    """Show the workspace that the key is of: its plan, credits, searches and members.

    \b
    enricher workspace
    enricher workspace --json
    """
    from enricher.api import workspaces

    show(workspaces.workspace(access(given)), as_json=as_json)
    return 0
