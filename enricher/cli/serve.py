"""`enricher serve`."""

from pathlib import Path

import click

from enricher.cli.groups import PATH, GroupedCommand
from enricher.cli.options import JOB_ID
from enricher.cli.telling import tell


@click.command("serve", cls=GroupedCommand, short_help="Show a job on a live page on this machine.")
@click.argument("checkpoint", type=PATH)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="Port on 127.0.0.1. Default: any free one.",
)
@JOB_ID
def command(checkpoint: Path, port: int, job_id: str | None) -> int:
    """Show the job of CHECKPOINT on a page that follows it, until Ctrl-C.

    It listens on loopback only, and reads without changing anything. The address that it prints
    holds a secret. Below /metrics it serves counts in the Prometheus text format.

    \b
    enricher serve out.csv.checkpoint.db
    enricher serve out.csv.checkpoint.db --port 8080
    """
    from enricher import api

    api.serve(checkpoint, port, job_id=job_id, on_ready=tell)
    return 0
