"""The files that a job writes: the output and the failures, which of them may be replaced."""

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from enricher import sink
from enricher.api.neighbours import writer_of
from enricher.checkpoint import Reader
from enricher.errors import OutputError
from enricher.formats import Dialect
from enricher.job import Job, partial_of
from enricher.model import Limit, OutputColumn, RowStatus, Warn
from enricher.places import Place, format_of, is_standard
from enricher.source import Table
from enricher.waterfall import STEP


@dataclass(slots=True)
class RowsWritten:
    """What the rows of an output show.

    Attributes:
        counts: rows by status.
        in_charge: the same without the rows that were left out.
        kept_old: rows whose refresh brought nothing.
    """

    counts: Counter[RowStatus] = field(default_factory=Counter)
    in_charge: Counter[RowStatus] = field(default_factory=Counter)
    kept_old: int = 0

    def exit_code(self, allowed: Limit) -> int:
        """Of a finished job."""
        chosen = self.in_charge.total() - self.in_charge[RowStatus.SKIPPED]
        fine = allowed.allows(self.in_charge[RowStatus.FAILED], chosen)
        return 0 if fine and not self.in_charge[RowStatus.IN_DOUBT] else 3


def places_of(job: Job) -> tuple[Place, ...]:
    """What the job may write besides its checkpoint; standard output does not count."""
    if job.shard:  # what it has found is written by the merge
        return ()
    named = [job.output, job.failures] if job.failures else [job.output]
    places = [place for final in named for place in (final, partial_of(final))]
    return tuple(place for place in places if place is not None and not is_standard(place))


def places_at(job: Job, is_finished: bool) -> tuple[Place | None, Place | None]:
    """Where the output and the failures go at the end of an invocation; `None` for nowhere."""
    if job.shard:
        return None, None
    if is_finished:
        return job.output, job.failures
    return job.partial, partial_of(job.failures) if job.failures else None


def files_at(job: Job, is_finished: bool) -> tuple[Place, ...]:
    """The same without nowhere and standard output, which nobody can replace."""
    places = places_at(job, is_finished)
    return tuple(place for place in places if place is not None and not is_standard(place))


def remove_partial(job: Job, reader: Reader) -> None:
    """Remove what earlier invocations wrote of a job that is finished now."""
    for place in files_at(job, False):
        if reader.wrote(place):
            sink.remove(place)


def check_replaceable(job: Job, reader: Reader | None, places: Sequence[Place]) -> None:
    """Raise `OutputError` if there is a file that no job of the checkpoint wrote."""
    if job.overwrite:
        return
    for path in places:
        if sink.exists(path) and not (reader and reader.wrote(path)):
            raise OutputError(
                f"{path} exists, and no job of {job.checkpoint.name} wrote it.",
                mend=_mend_of(path),
                code="output_exists",
            )


def _mend_of(path: Place) -> str:
    wrote = writer_of(path) if isinstance(path, Path) else None
    if wrote is None:
        return "Name another file, or replace this one with --overwrite."
    return (
        f"A job of {wrote.name} did: --checkpoint {shlex.quote(str(wrote))} goes on with what it"
        " has bought. Else name another file, or replace this one with --overwrite."
    )


def dialect_for(job: Job, table: Table, path: Place) -> Dialect | None:
    """The dialect of a file that is written. The tabs of a `.tsv` file are of its format, not its
    own: as `.csv` it has commas."""
    dialect = table.dialect
    if dialect and _format_read(job) == ".tsv" != format_of(path):
        return replace(dialect, delimiter=",")
    return dialect


def _format_read(job: Job) -> str:
    """That of the file itself; a copy has no name of its own, and is what the input is."""
    return format_of(job.source) or format_of(job.input)


def layout_of(
    job: Job, table: Table, outputs: tuple[OutputColumn, ...], path: Place
) -> sink.Layout:
    """The layout of the output at `path`."""
    return sink.Layout(
        table.columns,
        outputs,
        job.status_prefix,
        dialect_for(job, table, path),
        excel_safe=job.excel_safe,
        chosen=job.columns,
    )


def failure_layout_of(job: Job, table: Table, path: Place) -> sink.Layout:
    """The layout of the failures at `path`."""
    dialect = dialect_for(job, table, path)
    return sink.failure_layout(table.columns, dialect, excel_safe=job.excel_safe)


def check_layouts(
    job: Job, table: Table, outputs: tuple[OutputColumn, ...], path: Place | None = None
) -> None:
    """Make sure, before money is spent, that what is to be written can be, to `path` or the output.

    Raises:
        OutputError: a format cannot hold the columns.
        SelectionError: `--columns` names one that will not be there.
    """
    path = path or job.output
    sink.check_layout(path, layout_of(job, table, outputs, path))
    if job.failures:
        sink.check_layout(job.failures, failure_layout_of(job, table, job.failures))


class Writer:
    """Writes what the rows of a job show, as often as it is asked to.

    Args:
        outcomes: goes over all rows, with the outputs of those that have some.
    """

    def __init__(
        self,
        job: Job,
        table: Table,
        outputs: tuple[OutputColumn, ...],
        outcomes: Callable[[], Iterator[sink.Pair]],
        warn: Warn,
    ) -> None:
        self._job = job
        self._table = table
        self._outputs = outputs
        self._outcomes = outcomes
        self._warn = warn

    def write_at(self, is_finished: bool) -> RowsWritten:
        """Write what an invocation leaves, finished or not; returns what `write` does."""
        output, failures = places_at(self._job, is_finished)
        rows = self.write(output)
        if failures:
            self.write_failures(failures)
        return rows

    def write(self, path: Place | None) -> RowsWritten:
        """Write the output to `path`; returns what its rows show, also those not written.

        Without a path they are only counted: standard output gets no half of a table.
        """
        rows = RowsWritten()

        def counted() -> Iterator[sink.Pair]:
            nonlocal rows
            rows = RowsWritten()
            for batch, outcomes in self._outcomes():
                rows.counts.update(outcome.status for outcome in outcomes)
                rows.in_charge.update(o.status for o in outcomes if not o.left_out)
                rows.kept_old += sum(outcome.kept_old for outcome in outcomes)
                yield self._shown((batch, outcomes))

        if path is None:
            for _ in counted():
                pass
            return rows
        layout = layout_of(self._job, self._table, self._outputs, path)
        written = sink.write(path, layout, counted)
        if written.formulas and not layout.excel_safe:
            self._warn_of_formulas(written.formulas)
        if written.cut:
            self._warn_of_cut(written.cut)
        return rows

    def _shown(self, pair: sink.Pair) -> sink.Pair:
        """The rows of a batch that are written; counted are those of the input."""
        kept = sink.enriched(pair) if self._job.only_enriched else pair
        return sink.exploded(kept, (STEP,)) if self._job.explode else kept

    def write_failures(self, path: Place) -> None:
        """Write the rows that failed or are in doubt, to be fed back."""
        columns = self._table.columns
        layout = failure_layout_of(self._job, self._table, path)
        sink.write(path, layout, lambda: (sink.failed(pair, columns) for pair in self._outcomes()))

    def _warn_of_cut(self, cut: int) -> None:
        """Say how many cells do not hold all that was bought."""
        cells = "cell is" if cut == 1 else "cells are"
        self._warn(
            f"{cut:,} enriched {cells} too long for a workbook and cut there; `enricher export`"
            " with -o out.csv writes them whole"
        )

    def _warn_of_formulas(self, formulas: int) -> None:
        """Say how many cells of strangers a spreadsheet would run."""
        begin = "cell begins" if formulas == 1 else "cells begin"
        self._warn(
            f"{formulas:,} enriched {begin} like a formula, which a spreadsheet would run;"
            " `run` or `resume` with --excel-safe puts a ' before such text"
        )
