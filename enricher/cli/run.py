"""`enricher run`."""

from pathlib import Path
from typing import Any

import click

from enricher.cli.groups import GroupedCommand
from enricher.cli.options import JOB_OPTIONS
from enricher.cli.ordering import order_of
from enricher.cli.sharding import (
    CLUSTER,
    CLUSTER_SHARDS,
    MANIFEST,
    SHARD,
    STATE_PLACE,
    cluster_order,
    shard_order,
)
from enricher.cli.work import work
from enricher.places import StoredObject


@click.command(
    "run",
    cls=GroupedCommand,
    short_help="Enrich a file; the same command again goes on where it stopped.",
)
@click.argument("source", metavar="INPUT", required=False)
@JOB_OPTIONS
@MANIFEST
@SHARD
@CLUSTER
@CLUSTER_SHARDS
@STATE_PLACE
def command(
    source: str | None,
    manifest: Path | None,
    shard: int | None,
    cluster: str | None,
    shards: int | None,
    state_dir: Path | StoredObject | None,
    **given: Any,
) -> int:
    """Enrich INPUT; the same command again goes on where it stopped.

    INPUT is a file (.csv, .tsv, .ndjson or .jsonl, these also with .gz or .zst, .parquet or
    .xlsx), a quoted pattern for several files of the same columns, - for CSV on standard input, an
    object (s3://, gs://, az://), a database (postgresql://, sqlite:///) with --query or --table, or
    a job file (.toml).

    LABEL is an input of the grid, AGE a number with s, m, h or d (90s, 2h, 30d), P% a share. A run
    is what is paid for: one for each distinct set of inputs. What was submitted and what came back
    stands in the checkpoint, by default <output>.checkpoint.db: keep it, for it makes the next run
    free.

    Exit codes: 0 finished; 1 could not go on; 2 wrong usage; 3 finished, some rows failed or are in
    doubt; 4 stopped, the same command later is enough; 5 stopped, a person must act first.

    \b
    enricher run leads.csv --grid ID
    enricher run leads.csv --grid ID -m company_name="Company Name" -o out.csv
    enricher run "leads/*.csv" --grid ID -o out.csv
    enricher run leads.csv --grid ID --set website="https://{Domain}" --rate 20
    enricher run leads.job.toml
    enricher run --manifest manifest.json --shard 0
    enricher run leads.csv --grid ID --cluster local:3
    enricher run leads.job.toml --input today.csv --max-runs 100 --yes --json
    """
    if cluster is not None:
        return _on_cluster(
            source, cluster, shards, state_dir, {"--manifest": manifest, "--shard": shard}, given
        )
    if shards is not None:
        raise click.UsageError("--shards belongs to --cluster; `enricher plan` has it too.")
    if manifest is not None and source is None:
        order = shard_order(manifest, shard, state_dir, given)
    elif source is None:
        raise click.UsageError("Missing argument 'INPUT', or a job in shards with --manifest.")
    elif manifest is not None:
        raise click.UsageError("INPUT and --manifest exclude each other.")
    elif shard is not None or state_dir is not None:
        raise click.UsageError("--shard and --state-dir belong to --manifest.")
    else:
        order = order_of(source, given)
    from enricher import api

    api.check_standard_output(order.job, as_json=order.telling.as_json)
    return work(
        lambda hooks: api.run(order.job, hooks=hooks),
        as_json=order.telling.as_json,
        summary_file=order.telling.summary_file,
    )


def _on_cluster(
    source: str | None,
    cluster: str,
    shards: int | None,
    state_dir: Path | StoredObject | None,
    others: dict[str, Any],
    given: dict[str, Any],
) -> int:
    """The job in shards on a cluster, and merged."""
    if unfit := [name for name, value in others.items() if value is not None]:
        raise click.UsageError(f"{unfit[0]} and --cluster exclude each other.")
    if source is None:
        raise click.UsageError("Missing argument 'INPUT'.")
    order = cluster_order(source, shards, given)
    from enricher import api

    api.check_standard_output(order.job, as_json=order.telling.as_json)
    return work(
        lambda hooks: api.run_on_cluster(
            order.job,
            cluster,
            shards=shards,
            state_dir=state_dir,
            workspaces=order.workspaces,
            hooks=hooks,
        ),
        as_json=order.telling.as_json,
        summary_file=order.telling.summary_file,
    )
