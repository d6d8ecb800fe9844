"""`status` and `export`: what a checkpoint tells, while its job runs too."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from enricher import sink
from enricher.api.folding import contexts_of, stored_rows
from enricher.api.inputs import check_not_input, open_source
from enricher.api.writing import Writer, check_layouts
from enricher.checkpoint import JobRecord, Reader, Unfinished, is_held
from enricher.checkpoint.exports import note_export
from enricher.errors import CheckpointError, EnricherError, OutputError
from enricher.job import Job, make_job
from enricher.model import State, Warn
from enricher.places import Database, Place, is_standard
from enricher.report.evidence import Evidence
from enricher.report.summary import JobOutcome, RowTotals, Summary, utc
from enricher.report.text import Doubt


@dataclass(frozen=True, slots=True)
class Status:
    """Where a job stands, and what a person has to decide about it.

    Attributes:
        summary: its counts; times in seconds.
        doubts: submissions whose answer was lost: they may have cost credits.
        second_charges: what may have been paid twice.
        evidence: how the workspace changed meanwhile.

    Raises:
        TypeError: a field that it does not have.

    Example:
        >>> _ = enricher.run("companies.csv", grid=GRID, output="out.csv")
        >>> enricher.status("out.csv.checkpoint.db").doubts
        ()
    """

    summary: Summary
    doubts: tuple[Doubt, ...]
    second_charges: tuple[Doubt, ...] = ()
    evidence: tuple[Evidence, ...] = ()


def status_of(
    checkpoint: Path, job_id: str | None, changes: Mapping[str, Any] = MappingProxyType({})
) -> Status:
    """See `api.status`; `changes` are options given anew, such as where the input is now."""
    with Reader(checkpoint) as reader:
        record = reader.job(job_id)
        stored = reader.latest_summary(record.id)
        if stored is None:
            raise CheckpointError(
                f"{checkpoint}: job {record.id} was begun and has nothing to tell yet.",
                mend="Run the same command again, or `enricher resume`.",
            )
        summary = Summary.from_json(stored)
        if summary.outcome is JobOutcome.RUNNING and not is_held(checkpoint):
            # It may have ended since: to look at the lock takes a moment.
            summary = Summary.from_json(reader.latest_summary(record.id) or stored)
            if summary.outcome is JobOutcome.RUNNING:
                summary = _interrupted(reader, record, summary, changes)
        contexts = contexts_of(reader, record)
        doubts = _told([one for c in contexts for one in reader.unfinished(c, State.IN_DOUBT)])
        second = _told([one for c in contexts for one in reader.second_charges(c)])
        evidence = tuple(Evidence(**found) for found in reader.evidence(record.id))
        return Status(summary, doubts, second, evidence)


def job_known(checkpoint: Path, job_id: str | None) -> str:
    """The id of the job that is meant; raises `CheckpointError` if there is none."""
    with Reader(checkpoint) as reader:
        return reader.job(job_id).id


def summary_of(checkpoint: Path, job_id: str) -> Summary:
    """The last word of a job, for those who look often; rows are not counted anew."""
    with Reader(checkpoint) as reader:
        stored = reader.latest_summary(job_id)
    if stored is None:
        raise CheckpointError(
            f"{checkpoint} no longer holds job {job_id}.", mend="Has another file taken its place?"
        )
    summary = Summary.from_json(stored)
    if summary.outcome is JobOutcome.RUNNING and not is_held(checkpoint):
        return replace(summary, outcome=JobOutcome.INTERRUPTED, eta_seconds=None)
    return summary


def rows_saved(checkpoint: Path, job_id: str | None) -> RowTotals:
    """A job's rows as they were saved last, nothing of them `reused`; zeros if it never began."""
    try:
        return replace(summary_of(checkpoint, job_known(checkpoint, job_id)).rows, reused=0)
    except CheckpointError:
        return RowTotals()


def statuses_of(checkpoint: Path) -> list[Summary]:
    """See `api.statuses`."""
    with Reader(checkpoint) as reader:
        told = [id_ for id_ in reader.jobs() if reader.latest_summary(id_) is not None]
    return [status_of(checkpoint, id_).summary for id_ in told]


def _told(attempts: Sequence[Unfinished]) -> tuple[Doubt, ...]:
    return tuple(Doubt(one.inputs, utc(one.submitted_at), one.reason) for one in attempts)


def _interrupted(
    reader: Reader, record: JobRecord, last: Summary, changes: Mapping[str, Any]
) -> Summary:
    """Nobody holds the job: count its rows anew where the input allows, since the last word of a
    killed process may be a second old."""
    summary = replace(last, outcome=JobOutcome.INTERRUPTED, eta_seconds=None)
    try:
        job = make_job({**record.options, **changes})
        lookup = partial(reader.records, outputs=bool(job.steps))
        with stored_rows(reader, record, job, open_source(job), lookup) as shown:
            counts = Counter(
                str(outcome.status) for _, outcomes in shown.outcomes() for outcome in outcomes
            )
    except EnricherError:
        return summary
    in_flight = len(reader.unfinished(record.context, State.RUNNING))
    return replace(
        summary,
        rows=RowTotals(total=counts.total(), **counts, reused=last.rows.reused),
        runs=replace(last.runs, in_flight=in_flight),
    )


def export_to(
    checkpoint: Path,
    output: Path | str | None,
    changes: Mapping[str, Any],
    *,
    job_id: str | None,
    overwrite: bool,
    warn: Warn,
) -> tuple[Place, ...]:
    """See `api.export`."""
    with Reader(checkpoint) as reader:
        record = reader.job(job_id)
        given = {name: value for name, value in changes.items() if value}
        job = make_job({**record.options, "failures": None, **given})
        path = _export_place(job, output)
        if path == job.failures:
            raise OutputError(
                f"{path} cannot hold the output and the failures.", mend="Name two files."
            )
        table = open_source(job)
        places: tuple[Place, ...] = (path, job.failures) if job.failures else (path,)
        files = [place for place in places if not is_standard(place)]
        for place in files:
            check_not_input(place, table, job)
            sink.check_writable(place)
            _check_replaceable(reader, place, overwrite)
        lookup = partial(reader.records, outputs=True)
        with stored_rows(reader, record, job, table, lookup) as shown:
            check_layouts(job, table, shown.columns, path)
            writer = Writer(job, table, shown.columns, shown.outcomes, warn)
            for place in files:
                note_export(checkpoint, place)
            writer.write(path)
            if job.failures:
                writer.write_failures(job.failures)
        return places


def _export_place(job: Job, output: Path | str | None) -> Place:
    """Where to write: what is named, or what the job writes before it is finished."""
    if output is not None:
        job = make_job({**job.model_dump(mode="json"), "output": output})
        return job.output
    if isinstance(job.output, Database):
        raise OutputError(
            f"{job.output} gets the rows of finished jobs only.", mend="Name a file with -o."
        )
    return job.partial or job.output


def _check_replaceable(reader: Reader, path: Place, overwrite: bool) -> None:
    if sink.exists(path) and not reader.wrote(path) and not overwrite:
        raise OutputError(
            f"{path} exists, and neither this job nor an export of it wrote it.",
            mend="Name another file, or replace this one with --overwrite.",
            code="output_exists",
        )
