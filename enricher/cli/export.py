"""`enricher export`."""

from pathlib import Path

import click

from enricher.cli.options import (
    JOB_ID,
    MOVED_INPUT,
    OVERWRITE,
    PATH,
    WHAT,
    GroupedCommand,
    option,
)
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
    type=PATH,
    metavar="PATH",
    group=WHAT,
    help="Where to write; - is CSV on standard output. Default: the job's <stem>.partial<ext>.",
)
@OVERWRITE
@JOB_ID
@MOVED_INPUT
def command(
    checkpoint: Path,
    output: Path | None,
    overwrite: bool | None,
    job_id: str | None,
    read_from: Path | None,
) -> int:
    """Write the output of CHECKPOINT's job as far as it is, at any time, while it runs too.

    \b
    enricher export out.csv.checkpoint.db -o partial.csv
    """
    from enricher import api

    path = api.export(
        checkpoint,
        output,
        job_id=job_id,
        input_path=read_from,
        overwrite=bool(overwrite),
        warn=warn,
    )
    say(f"Written: {path}")
    return 0
