"""A job in shards on a cluster of Dask: planned, handed out, watched, and merged in the end.

The client holds the state directory for as long as it works, so there is one of it. What a shard
does is the business of `cluster_task`; what there is of all comes together only when all are done.
"""

import asyncio
import importlib.metadata
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from enricher import sink
from enricher.api.cluster_task import Part
from enricher.api.cluster_watch import Watch, in_use
from enricher.api.hooks import Hooks
from enricher.api.merging import merge_shards
from enricher.api.planning import plan_job
from enricher.api.shards import checkpoint_of, shards_status
from enricher.api.stored_state import StoredState
from enricher.api.wiring import is_begun, open_input
from enricher.api.writing import places_of
from enricher.checkpoint import hold
from enricher.checkpoint.exports import note_export, was_exported
from enricher.cluster.connecting import connected, is_local
from enricher.errors import (
    CannotGoOn,
    CheckpointError,
    CheckpointInUse,
    InputError,
    ManifestError,
    OutputError,
    UsageError,
)
from enricher.forecast import ASK_ABOVE
from enricher.job import Job, partial_of
from enricher.manifest import Manifest, Workspace, digest_of, read_manifest, seen_of
from enricher.model import Stop
from enricher.places import StoredObject, is_standard
from enricher.report.summary import ErrorTold, JobOutcome, Summary, utc

ADDRESS_FORM = "local:N for N processes here, or a scheduler's address, tcp://HOST:8786"
_ADDRESS = re.compile(r"local:[1-9][0-9]{0,2}|(tcp|tls)://[^\s/@?#]+:[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class ClusterOrder:
    """Where a job is to be run.

    Attributes:
        address: `local:N`, or that of a scheduler.
        workspaces: who runs the shards in turn.
        shards: how many; `None` for one for each worker, and for each workspace equally many.
        state_dir: where manifest and checkpoints are kept; by default beside the output.
            In an object store a local copy of them stands beside the output.
    """

    address: str
    workspaces: Sequence[Workspace]
    shards: int | None = None
    state_dir: Path | StoredObject | None = None

    @property
    def state(self) -> StoredState | None:
        """The state, where it is kept in an object store."""
        place = self.state_dir
        return StoredState(place) if isinstance(place, StoredObject) else None

    def manifest_of(self, job: Job) -> Path:
        """Where the manifest stands; the checkpoints are where its other commands look for them.

        Raises:
            UsageError: there is no place beside the output.
        """
        if isinstance(self.state_dir, Path):
            return self.state_dir.absolute() / "manifest.json"
        if self.state_dir is None and not isinstance(job.output, Path):
            raise UsageError("--cluster needs --state-dir where the output is no file.")
        beside = job.checkpoint.name.removesuffix(".checkpoint.db")
        return job.checkpoint.with_name(f"{beside}.shards") / "manifest.json"

    def shards_for(self, workers: int) -> int:
        """How many shards a new job has."""
        count = len(self.workspaces)
        return self.shards or -(-workers // count) * count

    def check(self, job: Job) -> None:
        """Raise `UsageError` if the job cannot be run so."""
        if not _ADDRESS.fullmatch(self.address):
            raise UsageError(f"--cluster: {self.address!r} is not {ADDRESS_FORM}")
        if is_standard(job.output):
            raise UsageError("--cluster needs an output file: the shards are merged at the end.")
        for option, value in (("--max-runs", job.max_runs), ("--max-credits", job.max_credits)):
            if value is not None:
                raise UsageError(
                    f"{option} counts what one process does, and on a cluster there are several.",
                    mend="Leave it out; --limit or --sample choose rows to begin with.",
                )


class _ClusterRun:
    """One invocation of a job on a cluster."""

    def __init__(
        self, job: Job, order: ClusterOrder, environ: Mapping[str, str], hooks: Hooks
    ) -> None:
        self._job = job
        self._order = order
        self._state = order.state
        self._hooks = hooks
        self._environ = environ
        self._path = order.manifest_of(job)
        self._watch = Watch(
            Summary(
                job=job.id,
                outcome=JobOutcome.RUNNING,
                provider=job.provider,
                target=job.target,
                input=str(job.input),
                output=str(job.output),
                checkpoint=str(self._path),
                started_at=utc(time.time()),
                shards=1,
            ),
            hooks,
            len(order.workspaces),
        )

    async def run(self) -> Summary:
        """See `api.run_on_cluster`."""
        self._check_places()
        if not self._state:  # whose list of what was merged is not here yet
            self._check_outputs()
        self._make_state_dir()
        try:
            lock = hold(self._path)
        except CheckpointInUse:
            raise in_use(self._path) from None
        with lock:
            known = self._known()
            self._check_outputs()
            await self._agree(known)
            manifest = known
            self._hooks.ready(self._stopper())
            with suppress(asyncio.CancelledError):  # by a stop, see `_stopper`
                async with connected(self._order.address) as cluster:
                    if not self._watch.is_stopped:
                        manifest = self._planned(known, cluster.workers)
                        await self._watch.run(cluster, self._part(), manifest.shards)
            return self._finish(manifest)

    def _stopper(self) -> Callable[[Stop], None]:
        """What is called with a stop: a connection that is still being made is not waited for.

        Processes that are just being started are: they would complain.
        """
        waiting = asyncio.current_task()

        def stop(stop: Stop) -> None:
            connecting = not (self._watch.is_working or is_local(self._order.address))
            if connecting and not self._watch.is_stopped and waiting is not None:
                waiting.cancel()
            self._watch.stop(stop)

        return stop

    # --- before ----------------------------------------------------------------------------------

    def _check_places(self) -> None:
        """What a look at the disk can tell, before anything is begun."""
        open_input(self._job)
        if is_begun(self._job.checkpoint):
            raise OutputError(
                f"{self._job.checkpoint} is of a run without --cluster: what it holds would be"
                " bought again.",
                mend="Go on without --cluster, or name another output with -o.",
                code="checkpoint_not_sharded",
            )

    def _check_outputs(self) -> None:
        for place in () if self._job.overwrite else places_of(self._job):
            if sink.exists(place) and not was_exported(self._path, place):
                raise OutputError(
                    f"{place} exists, and no run of {self._path.parent.name} wrote it.",
                    mend="Name another file, or replace this one with --overwrite.",
                    code="output_exists",
                )

    def _make_state_dir(self) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(
                f"The state directory {self._path.parent} cannot be made: {error.strerror}.",
                mend="Name another one with --state-dir.",
            ) from None

    def _known(self) -> Manifest | None:
        """The manifest of an earlier invocation: how many shards there are stays as it was."""
        known = self._manifest_here()
        self._check_state(known)
        if self._state:
            self._state.open(self._path)
            known = self._manifest_here()
            if known:
                self._state.check_kept(known)
        asked = self._order.shards
        if known and asked and asked != known.shards:
            raise ManifestError(
                f"{self._path.parent} is of a job in {known.shards} shards, not {asked}.",
                mend="Leave --shards out: in other shards, what these hold would be bought again.",
            )
        return known

    def _manifest_here(self) -> Manifest | None:
        return read_manifest(self._path) if self._path.exists() else None

    def _check_state(self, known: Manifest | None) -> None:
        """Raise `ManifestError` if the job keeps its state elsewhere."""
        here = self._state.place if self._state else None
        if known is None or known.state == here:
            return
        there = known.state or self._path.parent
        raise ManifestError(
            f"{self._path} is of a job that keeps its state in {there}: elsewhere it would be"
            " bought again.",
            mend=f"Name it: --state-dir {there}." if known.state else "Leave --state-dir out.",
            code="state_elsewhere",
        )

    async def _agree(self, known: Manifest | None) -> None:
        """Ask a person before many runs are paid; who goes on has been asked before.

        Raises:
            CannotGoOn: the answer was no.
        """
        begun = known is not None and self._is_begun(known)
        again = self._job.retry_failed or self._job.refresh_after is not None
        if self._hooks.consent is None or (begun and not again):
            return
        plan = await plan_job(self._job, self._environ, self._hooks.warn)
        if plan.census.new_runs > ASK_ABOVE and not self._hooks.consent(plan):
            raise CannotGoOn("Nothing was submitted: the answer was no.", code="declined")

    def _is_begun(self, known: Manifest) -> bool:
        if self._state:
            return self._state.is_begun(known)
        return any(is_begun(checkpoint_of(known, n, None)) for n in range(known.shards))

    def _planned(self, known: Manifest | None, workers: int) -> Manifest:
        """The manifest of this invocation: what the shards are told of its options."""
        shards = known.shards if known else self._order.shards_for(workers)
        files = open_input(self._job).files
        manifest = Manifest(
            self._path,
            shards,
            self._job.model_dump(mode="json"),
            seen_of(files),
            self._order.workspaces,
            self._state.place if self._state else None,
        )
        manifest.write()
        if self._state:
            self._state.publish(manifest, files)
        return manifest

    def _part(self) -> Part:
        return Part(
            job=str(self._state.place if self._state else self._path),
            manifest=self._path,
            state=self._state,
            digest=digest_of(self._path),
            version=importlib.metadata.version("enricher"),
            base_url=self._job.base_url,
        )

    # --- after -----------------------------------------------------------------------------------

    def _finish(self, manifest: Manifest | None) -> Summary:
        """Write what there is, and say what became of the whole.

        Raises:
            EnricherError: a shard could not start or go on.
        """
        watch = self._watch
        stop, code = watch.why_stopped()
        if manifest is not None and self._state:
            self._state.mirror(manifest)
        if manifest is not None and stop is None and not watch.errors:
            code = self._merged(manifest)
        elif manifest is not None:
            self._merged_so_far(manifest)
            watch.fill_up(shards_status(manifest.path, None).shards)
        if self._state:
            self._state.keep_exports(self._path)
        for error in watch.errors.values():
            if stop is None or not stop.signal:
                raise error
        outcome = JobOutcome.FINISHED if code == 0 else JobOutcome.FINISHED_WITH_FAILURES
        if stop is not None:
            outcome = JobOutcome.ERROR if code == 1 else JobOutcome.STOPPED
        summary = replace(
            watch.now(),
            outcome=outcome,
            exit_code=code,
            reason_code=stop.code if stop else None,
            reason=stop.reason if stop else None,
            error=ErrorTold(stop.code, stop.reason) if stop and code == 1 else None,
            eta_seconds=None,
        )
        self._hooks.progress(summary)
        return summary

    def _merged(self, manifest: Manifest) -> int:
        job = self._job
        code = merge_shards(
            manifest.path,
            str(job.output),
            state_dir=None,
            partial_too=False,
            overwrite=job.overwrite,
            warn=self._hooks.warn,
        )
        if job.failures:
            note_export(manifest.path, job.failures)
        for final in (job.output, job.failures) if job.failures else (job.output,):
            partial = partial_of(final)
            if partial is not None and was_exported(manifest.path, partial):
                sink.remove(partial)
        return code

    def _merged_so_far(self, manifest: Manifest) -> None:
        """As a single run does, what there is goes beside the output."""
        partial = self._job.partial
        failures = partial_of(self._job.failures) if self._job.failures else None
        if partial is None:
            return
        changes = {"failures": str(failures)} if failures else {}
        with suppress(
            CheckpointError, InputError
        ):  # nothing was begun, or the input is another now
            merge_shards(
                manifest.path,
                str(partial),
                state_dir=None,
                partial_too=True,
                overwrite=True,
                warn=self._hooks.warn,
                changes=changes,
            )
            if failures:
                note_export(manifest.path, failures)


async def run_clustered(
    job: Job, order: ClusterOrder, environ: Mapping[str, str], hooks: Hooks
) -> Summary:
    """See `api.run_on_cluster`."""
    return await _ClusterRun(job, order, environ, hooks).run()
