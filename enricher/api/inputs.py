"""What a job reads: a file, several, or the copy of what is not on this machine."""

import fnmatch
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from enricher import source
from enricher.checkpoint import Reader
from enricher.errors import CheckpointError, InputError, OutputError
from enricher.formats import split_pattern
from enricher.job import Job
from enricher.places import Database, Place, StoredObject, is_standard
from enricher.source import Spool, Table


def open_source(job: Job) -> Table:
    """Open the table that the job reads.

    Raises:
        InputError: there is no such table, or its head shows that it cannot be read.
    """
    path = job.source
    if not isinstance(path, Path):
        raise InputError(
            f"No copy of {path} stands beside the checkpoint {job.checkpoint}.",
            mend="Run the same command again, or name a copy of it with --input.",
        )
    if _comes_once(job.input) and source.is_spool(path):
        if not path.exists():  # moved together with its checkpoint
            path = job.checkpoint.with_name(path.name)
        return source.open_copy(path, job.input, job.reading)
    return source.open_table(path, job.reading)


@contextmanager
def input_copied(job: Job, *, for_good: bool) -> Iterator[Job]:
    """Copy what is not on this machine, and standard input, beside the checkpoint.

    Gives the job that reads the copy; a job that reads files is given as it is. The copy stays if
    it is `for_good` and there is a checkpoint that knows it at the end; an older copy of this job,
    which nothing reads any more, is removed then.

    Raises:
        InputError: the input is empty, or cannot be read.
        OutputError: the copy cannot be written.
    """
    if not _comes_once(job.input) or job.read_from is not None:
        yield job
        return
    make_state_folder(job)
    with _kept_while_known(job.checkpoint, for_good=for_good) as keep:
        yield job.model_copy(update={"read_from": keep(_copy_of(job))})


@contextmanager
def table_copied(
    checkpoint: Path, write: Callable[[Path], None], *, for_good: bool
) -> Iterator[Path]:
    """The same for a table in memory, which `write` writes to a Parquet file.

    Raises:
        InputError: what `write` raises.
        OutputError: the copy cannot be written.
    """
    with _kept_while_known(checkpoint, for_good=for_good) as keep:
        yield keep(source.spooled_table(write, checkpoint))


@contextmanager
def _kept_while_known(checkpoint: Path, *, for_good: bool) -> Iterator[Callable[[Spool], Path]]:
    """Remove a new copy at the end unless a job reads it, and older ones that none reads then."""
    before = _copies_known(checkpoint)
    copies: list[Spool] = []

    def keep(copy: Spool) -> Path:
        copies.append(copy)
        return copy.path

    try:
        yield keep
    finally:
        known = _copies_known(checkpoint) if for_good else before
        new = {copy.path for copy in copies if copy.is_new}
        for path in (new | before) - known:
            path.unlink(missing_ok=True)


def make_state_folder(job: Job) -> None:
    """Make the private folder where the checkpoint of a job without output file stands."""
    if is_standard(job.output) or not isinstance(job.output, Path):
        job.checkpoint.parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def _comes_once(place: Place) -> bool:
    return is_standard(place) or not isinstance(place, Path)


def _copy_of(job: Job) -> Spool:
    if isinstance(job.input, StoredObject):
        return source.copied(job.input, None, job.checkpoint)
    if isinstance(job.input, Database):
        return source.copied(job.input.of(job.table or job.input.table), job.query, job.checkpoint)
    if sys.stdin is None:
        raise InputError("Standard input is closed.", mend="Pipe a CSV file into the command.")
    return source.spooled(sys.stdin.buffer, job.checkpoint, source.STANDARD_INPUT)


def _copies_known(checkpoint: Path) -> set[Path]:
    """The copies beside the checkpoint that jobs of it read."""
    try:
        with Reader(checkpoint) as reader:
            read = {Path(options.get("read_from") or "") for options in reader.all_options()}
    except CheckpointError:  # there is none yet, or it is not ours: whoever opens it says so
        return set()
    return {path for path in read if source.is_spool(path) and path.parent == checkpoint.parent}


def check_not_input(output: Place, table: Table, job: Job) -> None:
    """Raise `OutputError` if `output` is a file that the table is read from, or would become one.

    A pattern may fit the output of a run, and the next run would read that.
    """
    read = {job.input.of(job.table)} if isinstance(job.input, Database) and job.table else set()
    same = output in {job.input, *read} or (
        isinstance(output, Path)
        and any(
            output == file or (output.exists() and output.samefile(file)) for file in table.files
        )
    )
    if same:
        raise OutputError(
            f"The output {output} is the input itself.",
            mend="Name another file with -o; the input is never changed.",
        )
    if not isinstance(output, Path) or not isinstance(job.source, Path):
        return
    folder, pattern = split_pattern(job.source)
    if pattern and _fits(output, folder, pattern):
        raise OutputError(
            f"The output {output} fits the pattern of the input: the next run would read it.",
            mend="Name an output with -o that the pattern does not fit.",
        )


def _fits(path: Path, folder: Path, pattern: str) -> bool:
    if not path.is_relative_to(folder):
        return False
    below = PurePath(path).relative_to(folder)
    if "**" in pattern:
        return fnmatch.fnmatch(str(below), pattern.replace("**/", "*"))
    return len(below.parts) == len(PurePath(pattern).parts) and below.match(pattern)
