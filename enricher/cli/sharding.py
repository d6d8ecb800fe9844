"""Options of jobs in shards, and the order of one shard."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from enricher.cli.groups import PATH, WHAT, option
from enricher.cli.options import job_options
from enricher.cli.ordering import order_of
from enricher.cli.voice import voice
from enricher.harmless import printable
from enricher.manifest import MOST_SHARDS
from enricher.places import Database, StoredObject, parse_place

if TYPE_CHECKING:
    from enricher.api import Order, ShardsStatus


class StateDir(click.ParamType["Path | StoredObject"]):
    """A directory, or a folder of an object store."""

    name = "path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | StoredObject:
        """See `click.ParamType`."""
        try:
            place = parse_place(str(value).rstrip("/"))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if isinstance(place, Database):
            self.fail("a database keeps no state of shards", param, ctx)
        return place


SHARDS = option(
    "--shards",
    type=click.IntRange(min=1),
    metavar="N",
    group=WHAT,
    help="Write the manifest of a job in N shards to -o; each is run by run --manifest, anywhere.",
)
MANIFEST = option(
    "--manifest",
    type=PATH,
    metavar="PATH",
    group=WHAT,
    help="A job in shards, as plan --shards wrote it, in place of an input.",
)
SHARD = option(
    "--shard",
    type=int,
    metavar="I",
    group=WHAT,
    help="Which shard to run, from 0. Default: JOB_COMPLETION_INDEX, SLURM_ARRAY_TASK_ID or"
    " AWS_BATCH_JOB_ARRAY_INDEX.",
)
STATE_DIR = option(
    "--state-dir",
    type=PATH,
    metavar="PATH",
    group=WHAT,
    help="Where the checkpoints of shards are. Default: <manifest stem>.shards beside the"
    " manifest.",
)
STATE_PLACE = option(
    "--state-dir",
    type=StateDir(),
    metavar="PATH|URL",
    group=WHAT,
    help="Where the checkpoints of shards are. Default: <manifest stem>.shards beside the"
    " manifest; with --cluster <output>.shards beside the output, and s3://, gs:// or az:// where"
    " the workers share no disk.",
)
CLUSTER = option(
    "--cluster",
    metavar="local:N|URL",
    group=WHAT,
    help="Run in shards on a cluster of Dask, and merge them: local:3 for 3 processes here, or a"
    " scheduler's address, tcp://HOST:8786. --state-dir is one that all workers can reach.",
)
CLUSTER_SHARDS = option(
    "--shards",
    type=click.IntRange(min=1, max=100_000),
    metavar="N",
    group=WHAT,
    help="How many shards, with --cluster. Default: one for each worker.",
)


def shard_order(
    manifest: Path,
    shard: int | None,
    state_dir: Path | StoredObject | None,
    given: dict[str, Any],
) -> "Order":
    """The job of one shard; from here on the program speaks as it says.

    Raises:
        click.UsageError: a shard's own process keeps its state in a directory.
        UsageError, ManifestError, InputError: see `api.shard_job`.
    """
    if isinstance(state_dir, StoredObject):
        raise click.UsageError("--state-dir: an object store keeps the state of --cluster alone.")
    from enricher import api

    telling, options = api.telling_of(
        {name: value for name, value in job_options(given).items() if value not in (None, (), {})}
    )
    voice.heed(telling)
    job = api.shard_job(manifest.absolute(), shard, options, state_dir=state_dir)
    voice.known = {"job": job.id, "input": str(job.input), "checkpoint": str(job.checkpoint)}
    return api.Order(job, telling)


def cluster_order(source: str, shards: int | None, given: dict[str, Any]) -> "Order":
    """The job of a cluster's run, whose checkpoints are those of its shards.

    Several keys need no number of shards: there are as many then as are needed.

    Raises:
        click.UsageError, UsageError, JobFileError: see `api.order_of`.
    """
    if given.get("checkpoint") is not None:
        raise click.UsageError("--checkpoint and --cluster exclude each other; see --state-dir.")
    return order_of(source, given, shards or MOST_SHARDS)


def shard_lines(status: "ShardsStatus") -> list[str]:
    """Each shard in a line, and all together in the last."""
    lines = []
    several = len(status.workspaces) > 1
    for index, (summary, by) in enumerate(zip(status.shards, status.run_by, strict=True)):
        if summary is None or by is None:
            lines.append(f"  shard {index}: not begun")
            continue
        outcome = str(summary.outcome).replace("_", " ")
        lines.append(f"  shard {index}: {outcome}: {_counts(summary.to_json()['rows'])}")
        if several:
            who = f"{by.account or '?'}, {by.target}, key in {by.api_key_file}"
            lines.append(f"      {printable(who)}")
    return [*lines, f"all: {_counts(status.rows())}"]


def _counts(rows: dict[str, int]) -> str:
    states = ("completed", "failed", "in_doubt", "skipped", "pending")
    told = [f"{rows[name]:,} {name.replace('_', ' ')}" for name in states if rows.get(name)]
    return f"{rows.get('total', 0):,} rows" + (f", {', '.join(told)}" if told else "")
