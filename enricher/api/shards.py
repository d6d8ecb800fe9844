"""Jobs in shards: planned once, run by whatever starts processes, merged in the end."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from enricher import sink
from enricher.api.inputs import check_not_input, open_source
from enricher.api.reading import status_of
from enricher.api.wiring import is_begun, stored_flow
from enricher.api.writing import Writer, check_layouts
from enricher.checkpoint import JobRecord, Reader
from enricher.checkpoint.exports import note_export, was_exported
from enricher.errors import CheckpointError, OutputError, UsageError
from enricher.feed import Lookup, RowFlow
from enricher.forms import parse_path
from enricher.job import Job, make_job
from enricher.manifest import MOST_SHARDS, Manifest, is_manifest, read_manifest, seen_of
from enricher.model import OutputColumn, Warn
from enricher.providers import registry
from enricher.record import Record
from enricher.report.summary import Summary
from enricher.shard import Shard, number_of

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


def write_manifest(path: Path, job: Job, count: int, *, overwrite: bool) -> None:
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
    Manifest(path, count, job.model_dump(mode="json"), seen_of(table.files)).write()


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
    _check_base_url(manifest.options, given, environ)
    shard = Shard(index, manifest.shards)
    checkpoint = checkpoint_of(manifest, index, state_dir)
    job = make_job({**manifest.options, **given, "checkpoint": checkpoint, "shard": shard})
    manifest.check_input(open_source(job).files)
    try:
        checkpoint.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"The state directory {checkpoint.parent} cannot be made: {error.strerror}.",
            mend="Name another one with --state-dir.",
        ) from None
    return job


def _check_base_url(
    stored: Mapping[str, Any], given: Mapping[str, Any], environ: Mapping[str, str]
) -> None:
    """A manifest never sends a key to a place that its user did not name."""
    url, vendor = stored.get("base_url"), registry.find(stored.get("provider") or "")
    named = given.get("base_url") or environ.get(vendor.base_url_variable)
    if (named or vendor.base_url or "").rstrip("/") != url:
        raise UsageError(
            f"The manifest is of a job against {url}" + (f", not {named}." if named else "."),
            mend=f"Name it again if that is right: --base-url {url}, or"
            f" {vendor.base_url_variable} in the environment.",
            code="base_url_not_named",
        )


def checkpoint_of(manifest: Manifest, index: int, state_dir: Path | None) -> Path:
    """Where the checkpoint of a shard stands: by default in a folder beside the manifest."""
    folder = state_dir or manifest.path.with_name(f"{manifest.path.stem}.shards")
    width = len(str(manifest.shards - 1))
    name = f"shard-{index:0{width}}-of-{manifest.shards}.checkpoint.db"
    return parse_path(folder) / name


# --- status ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShardsStatus:
    """Where each shard stands; `None` for one that was not begun."""

    shards: Sequence[Summary | None]

    def rows(self) -> dict[str, int]:
        """The rows of all shards that were begun, by status."""
        counts: Counter[str] = Counter()
        for summary in filter(None, self.shards):
            counts.update(summary.to_json()["rows"])
        return dict(counts)

    def to_json(self) -> dict[str, Any]:
        """The object of `status --manifest --json`."""
        told = [summary.to_json() if summary else None for summary in self.shards]
        return {"schema": 1, "rows": self.rows(), "shards": told}


def shards_status(path: Path, state_dir: Path | None) -> ShardsStatus:
    """Where each shard of a manifest stands; safe while they run.

    Raises:
        ManifestError, CheckpointError: see `errors`.
    """
    manifest = read_manifest(path)
    found: list[Summary | None] = []
    for index in range(manifest.shards):
        checkpoint = checkpoint_of(manifest, index, state_dir)
        found.append(status_of(checkpoint, None).summary if _is_told(checkpoint) else None)
    return ShardsStatus(found)


def _is_told(checkpoint: Path) -> bool:
    if not is_begun(checkpoint):
        return False
    with Reader(checkpoint) as reader:
        return any(reader.latest_summary(id_) is not None for id_ in reader.jobs())


# --- merge -----------------------------------------------------------------------------------


def merge_shards(
    path: Path,
    output: str,
    *,
    state_dir: Path | None,
    partial_too: bool,
    overwrite: bool,
    warn: Warn,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Write the output of all shards, as a single run would have; returns the exit code of that.

    Args:
        changes: options of what is written, given anew.

    Raises:
        ManifestError, InputError, OutputError: see `errors`.
        CheckpointError: a shard is missing or not finished; names all of them.
    """
    manifest = read_manifest(path)
    with _opened(manifest, state_dir, partial_too) as readers:
        first = next(iter(readers.values()))
        record = first.job()
        given = {**changes, "output": output, "shard": None, "overwrite": overwrite}
        job = make_job({**record.options, **given})
        place = job.output
        table = open_source(job)
        manifest.check_input(table.files)
        check_not_input(place, table, job)
        sink.check_writable(place)
        if sink.exists(place) and not overwrite and not was_exported(manifest.path, place):
            raise OutputError(
                f"{place} exists, and no merge of {path.name} wrote it.",
                mend="Name another file, or replace this one with --overwrite.",
                code="output_exists",
            )
        with stored_flow(record, job, table) as flow:
            lookup = _in_shards(readers, manifest.shards)
            outputs = _columns(record, readers.values(), flow, lookup)
            check_layouts(job, table, outputs, place)
            note_export(manifest.path, place)
            writer = Writer(job, table, outputs, partial(flow.outcomes, lookup), warn)
            rows = writer.write(place)
            if job.failures:
                writer.write_failures(job.failures)
        if len(readers) < manifest.shards or any(map(_goes_on, readers.values())):
            return 4
        return rows.exit_code(job.allow_failures)


def _goes_on(shard: Reader) -> bool:
    """Whether its job is not finished: more of its rows may come."""
    return bool(shard.open_pass(shard.job().id))


@contextmanager
def _opened(
    manifest: Manifest, state_dir: Path | None, partial_too: bool
) -> Iterator[dict[int, Reader]]:
    """The checkpoints of the shards, by number; missing ones are left out."""
    missing: list[str] = []
    with ExitStack() as held:
        readers: dict[int, Reader] = {}
        for index in range(manifest.shards):
            checkpoint = checkpoint_of(manifest, index, state_dir)
            if not _is_told(checkpoint):
                missing.append(f"{index} (not begun)")
                continue
            readers[index] = held.enter_context(Reader(checkpoint))
            if _goes_on(readers[index]):
                missing.append(f"{index} (not finished)")
        if missing and not (partial_too and readers):
            raise CheckpointError(
                f"Shards are missing: {', '.join(missing)}.",
                mend="Run them (enricher run --manifest … --shard I), or take what there is with"
                " --partial; --state-dir says where the checkpoints are.",
                code="shards_missing",
            )
        yield readers


def _in_shards(readers: Mapping[int, Reader], count: int) -> Lookup:
    """Each key is looked up in its shard; those of missing shards are not known."""

    def lookup(keys: Sequence[bytes]) -> Mapping[bytes, Record]:
        by_shard: defaultdict[int, list[bytes]] = defaultdict(list)
        for key in keys:
            by_shard[number_of(key, count)].append(key)
        found: dict[bytes, Record] = {}
        for index, some in by_shard.items():
            if reader := readers.get(index):
                found.update(reader.records(some, outputs=True))
        return found

    return lookup


def _columns(
    record: JobRecord, readers: Iterable[Reader], flow: RowFlow, lookup: Lookup
) -> tuple[OutputColumn, ...]:
    """The output's columns: those announced, then others that came back in any shard."""
    announced = {column.id: column for column in record.output_columns}
    seen = {column.id: column for reader in readers for column in reader.output_columns(record)}
    more = sorted(seen.keys() - announced.keys())
    columns = (*announced.values(), *(seen[id_] for id_ in more))
    return columns if announced else flow.by_first_appearance(columns, lookup)
