"""`enricher grids`."""

from collections.abc import Mapping
from typing import Any

import click

from enricher.cli.asking import ASKING, access, show
from enricher.cli.groups import GroupedCommand, option
from enricher.cli.telling import tell
from enricher.cli.telling_options import JSON

WHICH = "Which"
IN_SHORT = ("name", "id", "row_count")


@click.command("grids", cls=GroupedCommand, short_help="List the grids of the workspace.")
@option(
    "--search",
    metavar="TEXT",
    default="",
    group=WHICH,
    help="Only grids with this in their name, whatever the case.",
)
@option(
    "--page",
    type=click.IntRange(min=1),
    metavar="N",
    group=WHICH,
    help="Which page. Default: 1.",
)
@option(
    "--limit",
    type=click.IntRange(1, 100),
    metavar="N",
    group=WHICH,
    help="Grids a page, at most 100. Default: 20; with --all 100.",
)
@option("--all", "everything", is_flag=True, group=WHICH, help="The grids of all pages.")
@ASKING
@JSON
def command(
    search: str,
    page: int | None,
    limit: int | None,
    everything: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """List the grids of the workspace, each with the columns that run.

    \b
    enricher grids
    enricher grids --search leads --page 2
    enricher grids --all --json
    """
    if everything and page is not None:
        raise click.UsageError("--all is every page: leave --page out.")
    from enricher.api import workspaces

    there = access(given)
    if everything:
        found = workspaces.all_grids(there, search, limit or workspaces.MOST_GRIDS)
    else:
        found = workspaces.grids(there, search, page or 1, limit or 20)
    show(found, as_json=as_json)
    if not as_json:
        _tell_in_short(found)
    return 0


def _tell_in_short(found: Mapping[str, Any]) -> None:
    """What most people look for stands last: which grids there are, and how to see more."""
    grids = found.get("grids")
    listed = [g for g in grids if isinstance(g, dict)] if isinstance(grids, list) else []
    if len(listed) > 1:
        short = [{field: grid.get(field) for field in IN_SHORT} for grid in listed]
        tell("")
        show({"in short": short}, as_json=False)
    page, pages = found.get("page"), found.get("total_pages")
    if isinstance(page, int) and isinstance(pages, int) and page < pages:
        tell(f"\nThe next page: --page {page + 1}; all of them: --all")
