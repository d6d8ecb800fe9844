"""`enricher report`."""

from pathlib import Path

import click

from enricher.cli.groups import PATH, WHAT, GroupedCommand, option
from enricher.cli.options import JOB_ID
from enricher.cli.telling import say, tell, warn


@click.command(
    "report", cls=GroupedCommand, short_help="Draw a job as one HTML page; safe while it runs."
)
@click.argument("checkpoint", type=PATH)
@option(
    "-o",
    "--output",
    type=PATH,
    metavar="PATH",
    group=WHAT,
    help="Where to write; - is standard output. Default: <checkpoint stem>.report.html beside it.",
)
@JOB_ID
def command(checkpoint: Path, output: Path | None, job_id: str | None) -> int:
    """Draw the job of CHECKPOINT as one HTML page, while it runs too.

    The page needs no network and no scripts, and prints well: the outcome and what to do next,
    rates, durations, requests, failures, doubts, fill rates, credits, and the job as it was.

    \b
    enricher report out.csv.checkpoint.db
    enricher report out.csv.checkpoint.db -o report.html
    """
    from enricher import api

    path, page = api.report(checkpoint, output, job_id=job_id)
    if not api.can_draw():
        warn("tables stand in for charts; pip install 'enricher[report]' draws them")
    if str(path) == "-":
        tell(page)
    else:
        say(f"Written: {path}")
    return 0
