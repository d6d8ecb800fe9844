"""`enricher providers`."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from enricher.cli.groups import GroupedCommand
from enricher.cli.telling import tell, warn
from enricher.cli.telling_options import JSON

if TYPE_CHECKING:
    from enricher.installed import Shown

_SCHEMA = 1


@click.command("providers", cls=GroupedCommand, short_help="List the providers that are installed.")
@JSON
def command(as_json: bool | None) -> int:
    """List the providers that are installed, plugins included, and what each needs.

    \b
    enricher providers
    enricher providers --json
    """
    from enricher.installed import providers

    found = providers()
    if as_json:
        tell(json.dumps({"schema": _SCHEMA, "providers": [asdict(shown) for shown in found]}))
        return 0
    from enricher.cli.tables import drawn

    tell(drawn({"providers": [_row(shown) for shown in found if not shown.trouble]}))
    for shown in found:
        if shown.trouble:
            warn(f"the provider {shown.name} of {shown.origin} cannot be used: {shown.trouble}")
    return 0


def _row(shown: "Shown") -> dict[str, str]:
    return {
        "provider": shown.name,
        "from": shown.origin,
        "what to run": shown.target,
        "key": shown.key_variable,
        "base URL": shown.base_url_variable,
    }
