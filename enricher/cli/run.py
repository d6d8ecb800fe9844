"""`enricher run`."""

from pathlib import Path
from typing import Any

import click

from enricher.cli.groups import PATH, GroupedCommand
from enricher.cli.options import JOB_OPTIONS, JSON, SUMMARY_FILE, job_options
from enricher.cli.work import work


@click.command(
    "run",
    cls=GroupedCommand,
    short_help="Enrich a file; the same command again goes on where it stopped.",
)
@click.argument("input", type=PATH)
@JOB_OPTIONS
@JSON
@SUMMARY_FILE
def command(as_json: bool, summary_file: Path | None, **given: Any) -> int:
    """Enrich INPUT; the same command again goes on where it stopped.

    INPUT is a file (.csv, .tsv, .ndjson or .jsonl, these also with .gz or .zst, or .parquet), a
    quoted pattern for several files of the same columns, or - for CSV on standard input.

    \b
    enricher run leads.csv --grid ID
    enricher run leads.csv --grid ID -m company_name="Company Name" -o out.csv
    enricher run "leads/*.csv" --grid ID -o out.csv
    enricher run leads.csv --grid ID --set website="https://{Domain}" --rate 20
    """
    options = job_options(given)
    from enricher import api

    job = api.job_of(options)
    api.check_standard_output(job, as_json=as_json)
    return work(lambda hooks: api.run(job, hooks=hooks), as_json=as_json, summary_file=summary_file)
