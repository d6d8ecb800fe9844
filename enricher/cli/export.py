"""`enricher export`."""

from pathlib import Path
from typing import Any

import click

from enricher.cli.choices import CHOOSING
from enricher.cli.groups import PATH, WHAT, GroupedCommand, option, together
from enricher.cli.options import JOB_ID, MOVED_INPUT, OVERWRITE
from enricher.cli.telling import say, warn


@click.command(
    "export",
    cls=GroupedCommand,
    short_help="Write the output as far as it is, while the job runs too.",
)
@click.argument("checkpoint", type=PATH)
@option(
    "-o",
    "--output",
    metavar="PATH",
    group=WHAT,
    help="Where to write; - is CSV on standard output. Default: the job's <stem>.partial<ext>.",
)
@OVERWRITE
@together(CHOOSING)
@JOB_ID
@MOVED_INPUT
def command(
    checkpoint: Path,
    output: str | None,
    overwrite: bool | None,
    job_id: str | None,
    **changes: Any,
) -> int:
    """Write the output of CHECKPOINT's job as far as it is, at any time, while it runs too.

    \b
    enricher export out.csv.checkpoint.db -o partial.csv
    """
    from enricher import api

    written = api.export(
        checkpoint, output, changes, job_id=job_id, overwrite=bool(overwrite), warn=warn
    )
    say(f"Written: {', '.join(map(str, written))}")
    return 0
