"""`enricher run`."""

from pathlib import Path
from typing import Any

import click

from enricher.cli.options import JOB_OPTIONS, MOVED_INPUT, PATH, GroupedCommand
from enricher.cli.ordering import order_of
from enricher.cli.work import work


@click.command(
    "run",
    cls=GroupedCommand,
    short_help="Enrich a file; the same command again goes on where it stopped.",
)
@click.argument("source", type=PATH, metavar="INPUT")
@JOB_OPTIONS
@MOVED_INPUT
def command(source: Path, input: Path | None, **given: Any) -> int:
    """Enrich INPUT, a .csv, .parquet or job file; the same command again goes on where it stopped.

    \b
    enricher run leads.csv --grid ID
    enricher run leads.csv --grid ID -m company_name="Company Name" -o out.csv
    enricher run leads.csv --grid ID --set website="https://{Domain}" --rate 20
    enricher run leads.job.toml
    enricher run leads.job.toml --input today.csv --max-runs 100 --yes --json
    """
    order = order_of(source, given, input)
    from enricher import api

    return work(
        lambda hooks: api.run(order.job, job_id=order.id, hooks=hooks),
        as_json=order.telling.as_json,
        summary_file=order.telling.summary_file,
    )
