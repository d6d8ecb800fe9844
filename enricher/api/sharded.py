"""The verbs of jobs in shards; see `enricher.api`."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from enricher.api.hooks import Hooks
from enricher.api.merging import merge_shards as _merge
from enricher.api.pairing import WorkspaceTold, asked_each, check_parts, workspaces_of
from enricher.api.shards import ShardsStatus
from enricher.api.shards import shard_index as _shard_index
from enricher.api.shards import shard_job as _job_of_shard
from enricher.api.shards import shards_status as _status_of
from enricher.api.shards import write_manifest as _manifest_of
from enricher.api.stored_state import mirror
from enricher.errors import CannotGoOn, UsageError
from enricher.extras import extra
from enricher.job import Job
from enricher.manifest import Workspace
from enricher.model import Warn
from enricher.places import StoredObject, is_standard
from enricher.report.summary import Summary

__all__ = [
    "ShardsStatus",
    "WorkspaceTold",
    "merge",
    "run_on_cluster",
    "shard_job",
    "shards_status",
    "write_manifest",
]


def write_manifest(
    path: Path,
    job: Job,
    shards: int,
    *,
    workspaces: Sequence[Workspace] = (),
    overwrite: bool = False,
    environ: Mapping[str, str] = os.environ,
    warn: Warn = lambda _: None,
) -> tuple[WorkspaceTold, ...]:
    """Write the manifest of `job` in so many shards, each to be run by a process of its own.

    Args:
        workspaces: who runs the shards in turn; that of the job if there are none.

    Returns:
        What each of several workspaces told; nothing of one, which is not asked.

    Raises:
        UsageError, InputError, OutputError, ManifestError: see `errors`.
        MappingError, KeyProblem, ProviderRefused, ServerGone: several do not fit one another, or
            one cannot be asked.
    """
    _check_divisible(job)
    workspaces = workspaces or workspaces_of([job])
    check_parts(workspaces, shards)
    told = asked_each(job, workspaces, environ, warn) if len(workspaces) > 1 else ()
    _manifest_of(path, job, shards, workspaces, overwrite=overwrite)
    return told


def _check_divisible(job: Job) -> None:
    if job.steps:
        raise UsageError(
            "A job of several steps cannot be run in shards.",
            mend="Run it without shards.",
        )
    if is_standard(job.input) or not isinstance(job.input, Path):
        raise UsageError(
            f"{job.input} cannot be run in shards: each reads the input, which must be a file.",
            mend="Write it to a file first.",
        )


def run_on_cluster(
    job: Job,
    address: str,
    *,
    shards: int | None = None,
    state_dir: Path | StoredObject | None = None,
    workspaces: Sequence[Workspace] = (),
    environ: Mapping[str, str] = os.environ,
    hooks: Hooks | None = None,
) -> Summary:
    """Run `job` in shards on a cluster of Dask, or go on with it, and merge them in the end.

    Args:
        address: `local:N` for so many processes on this machine, or that of a scheduler.
        shards: by default one for each worker, and what there was when it was begun.
        state_dir: shared by all workers; by default beside the output. A folder of an object store
            where they share no disk.
        workspaces: who runs the shards in turn; that of the job if there are none.

    Raises:
        UsageError: such a job cannot be run on a cluster.
        CannotGoOn: the extra is missing; the workers do not fit, or cannot go on; nothing lost.
        TryLater: the cluster or the object store cannot be reached, or the job is in use.
    """
    _check_divisible(job)
    with extra("dask", "--cluster", CannotGoOn):
        from enricher.api.clustered import ClusterOrder, run_clustered
    order = ClusterOrder(address, workspaces or workspaces_of([job]), shards, state_dir)
    order.check(job)
    if len(order.workspaces) > 1:
        asked_each(job, order.workspaces, environ, hooks.warn if hooks else lambda _: None)
    return asyncio.run(run_clustered(job, order, environ, hooks or Hooks()))


def shard_job(
    manifest: Path,
    shard: int | None,
    changes: Mapping[str, Any] = MappingProxyType({}),
    *,
    state_dir: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Job:
    """The job of one shard, for `run`; without a number the scheduler's variable tells it.

    Raises:
        UsageError, ManifestError, InputError, CheckpointError: see `errors`.
    """
    index = _shard_index(shard, environ)
    return _job_of_shard(manifest, index, changes, state_dir=state_dir, environ=environ)


def shards_status(manifest: Path, *, state_dir: Path | None = None) -> ShardsStatus:
    """Where each shard stands; safe while they run.

    Raises:
        ManifestError, CheckpointError, StateGone: see `errors`.
    """
    if state_dir is None:
        mirror(manifest)
    return _status_of(manifest, state_dir)


def merge(
    manifest: Path,
    output: str,
    *,
    state_dir: Path | None = None,
    partial_too: bool = False,
    overwrite: bool = False,
    warn: Warn = lambda _: None,
) -> int:
    """Write the output of all shards; returns the exit code that a single run would have had.

    Raises:
        ManifestError, InputError, OutputError, CheckpointError, StateGone: see `errors`.
    """
    if state_dir is None:
        mirror(manifest)
    return _merge(
        manifest,
        output,
        state_dir=state_dir,
        partial_too=partial_too,
        overwrite=overwrite,
        warn=warn,
    )
