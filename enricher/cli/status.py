"""`enricher status`."""

from pathlib import Path

import click

from enricher.cli.groups import PATH, GroupedCommand
from enricher.cli.options import JOB_ID, JSON
from enricher.cli.telling import one_line, tell


@click.command(
    "status", cls=GroupedCommand, short_help="Say where a job stands; safe while it runs."
)
@click.argument("checkpoint", type=PATH)
@JOB_ID
@JSON
def command(checkpoint: Path, job_id: str | None, as_json: bool) -> int:
    """Say where the job of CHECKPOINT stands, and list what is in doubt; safe while it runs.

    \b
    enricher status out.csv.checkpoint.db
    enricher status out.csv.checkpoint.db --json
    """
    from enricher import api

    status = api.status(checkpoint, job_id=job_id)
    if as_json:
        tell(one_line(status.summary.to_json()))
    else:
        lines = [*api.summary_lines(status.summary), *api.doubt_lines(status.doubts)]
        lines += api.second_charge_lines(status.second_charges)
        for evidence in status.evidence[-1:] if status.doubts else ():
            lines += api.evidence_lines(evidence)
        tell("\n".join(lines))
    return 0
