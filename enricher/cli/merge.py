"""`enricher merge`."""

from pathlib import Path

import click

from enricher.cli.groups import PATH, WHAT, GroupedCommand, option
from enricher.cli.options import OVERWRITE
from enricher.cli.sharding import STATE_DIR
from enricher.cli.telling import say, warn


@click.command(
    "merge", cls=GroupedCommand, short_help="Write the output of a job that was run in shards."
)
@click.argument("manifest", type=PATH)
@option(
    "-o",
    "--output",
    required=True,
    metavar="PATH",
    group=WHAT,
    help="Where to write; the format follows the extension. Required.",
)
@option(
    "--partial",
    "partial_too",
    is_flag=True,
    group=WHAT,
    help="Go on without shards that are missing or not finished; the command ends with 4.",
)
@OVERWRITE
@STATE_DIR
def command(
    manifest: Path,
    output: str,
    partial_too: bool,
    overwrite: bool | None,
    state_dir: Path | None,
) -> int:
    """Write the output of all shards of MANIFEST: byte for byte that of a single run.

    \b
    enricher merge manifest.json -o out.csv
    enricher merge manifest.json -o so-far.csv --partial
    """
    from enricher import api

    code = api.merge(
        manifest,
        output,
        state_dir=state_dir,
        partial_too=partial_too,
        overwrite=bool(overwrite),
        warn=warn,
    )
    say(f"Written: {output}")
    return code
