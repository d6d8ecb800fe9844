"""Jobs in shards: planned once, run by whatever starts processes, merged in the end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from enricher.api.going_on import check_named
from enricher.api.inputs import check_not_input, open_source
from enricher.api.reading import status_of
from enricher.api.wiring import is_begun
from enricher.checkpoint import Reader
from enricher.errors import CheckpointError, OutputError, UsageError
from enricher.forms import parse_path
from enricher.job import Job, make_job
from enricher.manifest import (
    MOST_SHARDS,
    Manifest,
    Workspace,
    is_manifest,
    read_manifest,
    seen_of,
)
from enricher.report.summary import JobOutcome, Summary
from enricher.shard import Shard

INDEX_VARIABLES = ("JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID", "AWS_BATCH_JOB_ARRAY_INDEX")
"""Where schedulers tell a process its number: Kubernetes, Slurm, AWS Batch."""

FREE = frozenset(
    {
        *("read_from", "api_key_file", "base_url", "mode", "rate", "limiter", "max_in_flight"),
        *("run_timeout", "in_doubt", "retry_failed", "max_attempts", "refresh_after"),
        *("allow_failures", "max_runs", "max_credits", "max_failures", "stop_after"),
        *("max_outage", "retry_lock"),
    }
)
"""Options that each shard may be given anew; all others say what the job is."""


def write_manifest(
    path: Path, job: Job, count: int, workspaces: Sequence[Workspace], *, overwrite: bool
) -> None:
    """Write the manifest of `job` in `count` shards.

    Raises:
        UsageError: the job cannot be run in so many shards.
        InputError: the input cannot be read.
        OutputError: there is another file at `path`.
    """
    if not 1 <= count <= MOST_SHARDS:
        raise UsageError(f"--shards: must be from 1 to {MOST_SHARDS}")
    if path.exists() and not overwrite and not is_manifest(path):
        raise OutputError(
            f"{path} exists, and is no manifest.",
            mend="Name another file with -o, or replace this one with --overwrite.",
            code="output_exists",
        )
    table = open_source(job)
    check_not_input(path, table, job)
    options = job.model_dump(mode="json")
    Manifest(path, count, options, seen_of(table.files), workspaces).write()


def shard_index(given: int | None, environ: Mapping[str, str]) -> int:
    """The number of the shard: told, or by the scheduler that started this process.

    Raises:
        UsageError: nobody tells it, or two schedulers tell different ones.
    """
    if given is not None:
        return given
    told = {name: environ[name] for name in INDEX_VARIABLES if environ.get(name)}
    if len(set(told.values())) == 1 and (text := next(iter(told.values()))).isdecimal():
        return int(text)
    shown = ", ".join(f"{name}={value}" for name, value in told.items())
    raise UsageError(
        f"Which shard is meant cannot be told from {shown}." if told else "--shard is missing.",
        mend=f"Name it with --shard I, from 0; else one of {', '.join(INDEX_VARIABLES)} tells it.",
        code="shard_missing",
    )


def shard_job(
    path: Path,
    index: int,
    changes: Mapping[str, Any],
    *,
    state_dir: Path | None,
    environ: Mapping[str, str],
) -> Job:
    """The job of one shard; its checkpoint has a folder by then.

    Args:
        changes: options given anew; `None` means not given.

    Raises:
        ManifestError, InputError: no manifest, or not of the input that is there now.
        UsageError: there is no such shard, or an option that would change the job.
        CheckpointError: the state directory cannot be made.
    """
    manifest = read_manifest(path)
    if not 0 <= index < manifest.shards:
        raise UsageError(
            f"There is no shard {index}: {path.name} has {manifest.shards}, numbered"
            f" 0 to {manifest.shards - 1}.",
            mend="Give a scheduler as many tasks as there are shards, the first with number 0.",
            code="shard_unknown",
        )
    given = {name: value for name, value in changes.items() if value not in (None, (), {})}
    if unfit := sorted(given.keys() - FREE):
        raise UsageError(
            f"--{unfit[0].replace('_', '-')} says what the job is, and the manifest says that.",
            mend="Leave it out, or plan the shards again with it.",
        )
    check_named(manifest.options, given, environ)
    shard = Shard(index, manifest.shards)
    checkpoint = checkpoint_of(manifest, index, state_dir)
    asked = asdict(_workspace_of(manifest, index, given))
    job = make_job({**manifest.options, **given, **asked, "checkpoint": checkpoint, "shard": shard})
    manifest.check_input(open_source(job).files)
    try:
        checkpoint.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"The state directory {checkpoint.parent} cannot be made: {error.strerror}.",
            mend="Name another one with --state-dir.",
        ) from None
    return job


def _workspace_of(manifest: Manifest, index: int, given: Mapping[str, Any]) -> Workspace:
    """Who runs the shard: with a key file given anew, or one for each workspace in their order."""
    workspace = manifest.workspace_of(index)
    anew = given.get("api_key_file")
    if anew is None:
        return workspace
    files = list(anew) if isinstance(anew, list | tuple) else [anew]
    if len(files) != len(manifest.workspaces):
        raise UsageError(
            f"--api-key-file: {len(files)} given, and {manifest.path.name} is of"
            f" {len(manifest.workspaces)} workspaces.",
            mend="Give one for each, in the order of the manifest; or none, for those it names.",
            code="keys_unpaired",
        )
    return replace(workspace, api_key_file=str(files[index % len(files)]))


def checkpoint_of(manifest: Manifest, index: int, state_dir: Path | None) -> Path:
    """Where the checkpoint of a shard stands: by default in a folder beside the manifest."""
    folder = state_dir or manifest.path.with_name(f"{manifest.path.stem}.shards")
    width = len(str(manifest.shards - 1))
    name = f"shard-{index:0{width}}-of-{manifest.shards}.checkpoint.db"
    return parse_path(folder) / name


# --- status ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunBy:
    """Who ran a shard last: the workspace's id, empty where it has none, and with which key."""

    account: str
    target: str
    api_key_file: str | None


@dataclass(frozen=True, slots=True)
class ShardsStatus:
    """Where each shard stands, and who ran it; `None` for one that was not begun.

    `workspaces` are those that the manifest names, in turn.
    """

    shards: Sequence[Summary | None]
    run_by: Sequence[RunBy | None]
    workspaces: Sequence[Workspace]

    def rows(self) -> dict[str, int]:
        """The rows of all shards that were begun, by status."""
        counts: Counter[str] = Counter()
        for summary in filter(None, self.shards):
            counts.update(summary.to_json()["rows"])
        return dict(counts)

    def to_json(self) -> dict[str, Any]:
        """The object of `status --manifest --json`."""
        told = [
            {**summary.to_json(), "run_by": asdict(by)} if summary and by else None
            for summary, by in zip(self.shards, self.run_by, strict=True)
        ]
        named = [asdict(one) for one in self.workspaces]
        return {"schema": 1, "rows": self.rows(), "workspaces": named, "shards": told}


def shards_status(path: Path, state_dir: Path | None) -> ShardsStatus:
    """Where each shard of a manifest stands; safe while they run.

    Raises:
        ManifestError, CheckpointError: see `errors`.
    """
    manifest = read_manifest(path)
    found: list[Summary | None] = []
    run_by: list[RunBy | None] = []
    for index in range(manifest.shards):
        checkpoint = checkpoint_of(manifest, index, state_dir)
        begun = is_told(checkpoint)
        found.append(_status_of(manifest, checkpoint) if begun else None)
        run_by.append(_run_by(checkpoint) if begun else None)
    return ShardsStatus(found, run_by, manifest.workspaces)


def _status_of(manifest: Manifest, checkpoint: Path) -> Summary:
    """Where a shard stands; from an object store nobody can tell whether a worker is at it."""
    summary = status_of(checkpoint, None, manifest.input_here()).summary
    if manifest.state and summary.outcome is JobOutcome.INTERRUPTED:
        return replace(summary, outcome=JobOutcome.RUNNING)
    return summary


def _run_by(checkpoint: Path) -> RunBy:
    with Reader(checkpoint) as reader:
        record = reader.job()
    return RunBy(record.context.account, record.context.target, record.options.get("api_key_file"))


def is_told(checkpoint: Path) -> bool:
    """Whether a job of the checkpoint has anything to tell."""
    if not is_begun(checkpoint):
        return False
    with Reader(checkpoint) as reader:
        return any(reader.latest_summary(id_) is not None for id_ in reader.jobs())
