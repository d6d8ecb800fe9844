"""`enricher contract`."""

from collections.abc import Mapping
from typing import Any

import click

from enricher.cli.asking import ASKING, access, show
from enricher.cli.groups import GroupedCommand
from enricher.cli.options import OUTPUT_COLUMNS
from enricher.cli.telling import tell
from enricher.cli.telling_options import JSON


@click.command(
    "contract",
    cls=GroupedCommand,
    short_help="Show what a run of a grid takes, and a ready curl command.",
)
@click.argument("grid_id", metavar="ID")
@OUTPUT_COLUMNS
@ASKING
@JSON
def command(grid_id: str, output_columns: tuple[str, ...], as_json: bool, **given: Any) -> int:
    """Show what a run of the grid ID takes and gives, and a ready curl command without the key.

    The inputs are those that the wanted outputs need: all of the grid, or those of --output-column.

    \b
    enricher contract a1b2c3d4-e5f6-7890-abcd-ef1234567890
    enricher contract a1b2c3d4-… --output-column "Funding Stage"
    """
    from enricher.api import workspaces

    contract = workspaces.contract(access(given), grid_id, output_columns)
    if as_json:
        show(contract, as_json=True)
    else:
        _tell(contract)
    return 0


def _tell(contract: Mapping[str, Any]) -> None:
    """The curl command comes last and as it is: it is there to be copied."""
    show({name: value for name, value in contract.items() if name != "curl"}, as_json=False)
    curl = contract.get("curl")
    if isinstance(curl, str):
        tell(f"\ncurl\n{curl}")
