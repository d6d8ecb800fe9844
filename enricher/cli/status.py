"""`enricher status`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from enricher.cli.groups import PATH, WHAT, GroupedCommand, option
from enricher.cli.options import JOB_ID
from enricher.cli.programs import one_line
from enricher.cli.sharding import MANIFEST, STATE_DIR, shard_lines
from enricher.cli.telling import tell
from enricher.cli.telling_options import JSON

if TYPE_CHECKING:
    from enricher.api import Status, Summary

LOOK_EVERY = 1.0
"""Seconds between two looks of `--watch`; the job saves what it shows as often."""


@click.command(
    "status", cls=GroupedCommand, short_help="Say where a job stands; safe while it runs."
)
@click.argument("checkpoint", type=PATH, required=False)
@MANIFEST
@STATE_DIR
@JOB_ID
@option("--jobs", "all_jobs", is_flag=True, group=WHAT, help="List every job of the checkpoint.")
@option(
    "--watch", is_flag=True, group=WHAT, help="Show its progress, as `run` does, until it ends."
)
@JSON
def command(
    checkpoint: Path | None,
    manifest: Path | None,
    state_dir: Path | None,
    job_id: str | None,
    all_jobs: bool,
    watch: bool,
    as_json: bool | None,
) -> int:
    """Say where the job of CHECKPOINT stands, and list what is in doubt; safe while it runs.

    \b
    enricher status out.csv.checkpoint.db
    enricher status out.csv.checkpoint.db --json
    enricher status out.csv.checkpoint.db --watch
    enricher status nightly.checkpoint.db --jobs
    enricher status --manifest manifest.json
    """
    if all_jobs and (job_id or watch):
        raise click.UsageError(f"--jobs and {'--watch' if watch else '--job'} exclude each other.")
    from enricher import api

    if manifest is not None and checkpoint is None:
        shards = api.shards_status(manifest.absolute(), state_dir=state_dir)
        tell(one_line(shards.to_json()) if as_json else "\n".join(shard_lines(shards)))
        return 0
    if checkpoint is None or manifest is not None:
        raise click.UsageError("Name a CHECKPOINT, or a job in shards with --manifest.")
    if all_jobs:
        summaries = api.statuses(checkpoint)
        told = [summary.to_json() for summary in summaries]
        tell(one_line(told) if as_json else "\n".join(job_lines(summaries)))
        return 0
    status = _watched(checkpoint, job_id) if watch else api.status(checkpoint, job_id=job_id)
    tell(one_line(status.summary.to_json()) if as_json else "\n".join(_lines(status)))
    return 0


def _lines(status: "Status") -> list[str]:
    from enricher import api

    told = api.summary_lines(status.summary, looked_up=True)
    lines = [*told, *api.doubt_lines(status.doubts, status.summary.rows.in_doubt)]
    lines += api.second_charge_lines(status.second_charges)
    for evidence in status.evidence[-1:] if status.doubts else ():
        lines += api.evidence_lines(evidence)
    return lines


def _watched(checkpoint: Path, job_id: str | None) -> "Status":
    """Show the job's progress until no process works on it, and return how it stands then."""
    from enricher import api
    from enricher.cli.progress import shown_progress

    with shown_progress() as progress:
        while (status := api.status(checkpoint, job_id=job_id)).summary.outcome == "running":
            progress.show(status.summary)
            time.sleep(LOOK_EVERY)
    return status


def job_lines(summaries: "list[Summary]") -> list[str]:
    """Every job in two lines, the one used last first."""
    from enricher.harmless import printable

    lines = []
    for summary in summaries:
        rows = summary.rows
        states = ("completed", "failed", "in_doubt", "pending")
        told = [f"{getattr(rows, s):,} {s.replace('_', ' ')}" for s in states if getattr(rows, s)]
        outcome = str(summary.outcome).replace("_", " ")
        lines += [
            f"{summary.job}  {summary.updated_at}  {outcome}: {', '.join(told) or 'no rows'}",
            f"    {printable(summary.input or '')}  →  {summary.provider} {summary.target}",
        ]
    return lines
