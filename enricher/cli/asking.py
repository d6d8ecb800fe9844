"""What the commands that only ask a workspace share: where it is, the key, and how to show it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from enricher.cli.groups import MONEY, Parsed, option, together
from enricher.cli.options import BASE_URL, KEY_FILE
from enricher.cli.programs import one_line
from enricher.cli.telling import tell, warn

if TYPE_CHECKING:
    from enricher.api.workspaces import Access

PATIENCE = option(
    "--max-outage",
    type=Parsed("age", "parse_age"),
    metavar="AGE",
    group=MONEY,
    help="How long to wait for a server that does not answer, before ending with code 4. Default:"
    " 30s.",
)

ASKING = together([BASE_URL, KEY_FILE, PATIENCE])
"""The options of `access`."""


def access(given: Mapping[str, Any]) -> "Access":
    """How the workspace is reached, by the values of `ASKING`."""
    from enricher.api.workspaces import access_of

    return access_of(given, warn=warn)


def show(data: Mapping[str, Any], *, as_json: bool) -> None:
    """The API's object: as JSON for a program, drawn for a person."""
    if as_json:
        tell(one_line(data))
        return
    from enricher.cli.tables import drawn

    tell(drawn(data))
