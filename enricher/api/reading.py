"""`status` and `export`: what a checkpoint tells, while its job runs too."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from enricher import sink, source
from enricher.api.wiring import check_output, is_ours, layout_of, stored_flow, warn_of_formulas
from enricher.checkpoint import JobRecord, Reader, Unfinished, is_held
from enricher.checkpoint.exports import note_export
from enricher.errors import CheckpointError, EnricherError, OutputError
from enricher.job import make_job
from enricher.model import State, Warn
from enricher.report.evidence import Evidence
from enricher.report.summary import JobOutcome, RowTotals, Summary, utc
from enricher.report.text import Doubt


@dataclass(frozen=True, slots=True)
class Status:
    """Where a job stands, and what a person has to decide about it."""

    summary: Summary
    doubts: tuple[Doubt, ...]
    second_charges: tuple[Doubt, ...] = ()
    evidence: tuple[Evidence, ...] = ()


def status_of(checkpoint: Path, job_id: str | None) -> Status:
    """See `api.status`."""
    with Reader(checkpoint) as reader:
        record = reader.job(job_id)
        stored = reader.latest_summary(record.id)
        if stored is None:
            raise CheckpointError(
                f"{checkpoint}: job {record.id} was begun and has nothing to tell yet.",
                mend="Run the same command again, or `enricher resume`.",
            )
        doubts = _told(reader.unfinished(record.context, State.IN_DOUBT))
        second = _told(reader.second_charges(record.context))
        evidence = tuple(Evidence(**found) for found in reader.evidence(record.id))
        summary = Summary.from_json(stored)
        if summary.outcome is JobOutcome.RUNNING and not is_held(checkpoint):
            summary = _interrupted(reader, record, summary)
        return Status(summary, doubts, second, evidence)


def statuses_of(checkpoint: Path) -> list[Summary]:
    """See `api.statuses`."""
    with Reader(checkpoint) as reader:
        told = [id_ for id_ in reader.jobs() if reader.latest_summary(id_) is not None]
    return [status_of(checkpoint, id_).summary for id_ in told]


def _told(attempts: Sequence[Unfinished]) -> tuple[Doubt, ...]:
    return tuple(Doubt(one.inputs, utc(one.submitted_at), one.reason) for one in attempts)


def _interrupted(reader: Reader, record: JobRecord, last: Summary) -> Summary:
    """Nobody holds the job: count its rows anew where the input allows, since the last word of a
    killed process may be a second old."""
    summary = replace(last, outcome=JobOutcome.INTERRUPTED, eta_seconds=None)
    try:
        table = source.open_table(Path(record.options["input"]))
        flow = stored_flow(record, table)
        counts = Counter(
            str(outcome.status)
            for _, outcomes in flow.outcomes(reader.records)
            for outcome in outcomes
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
    output: Path | None,
    *,
    job_id: str | None,
    input_path: Path | None,
    overwrite: bool,
    warn: Warn,
) -> Path:
    """See `api.export`."""
    with Reader(checkpoint) as reader:
        record = reader.job(job_id)
        job = make_job({**record.options, **({"input": input_path} if input_path else {})})
        path = output.absolute() if output else job.partial
        table = source.open_table(job.input)
        check_output(path, job.input)
        _check_replaceable(reader, path, overwrite)
        flow = stored_flow(record, table)
        layout = layout_of(job, table, reader.output_columns(record))
        note_export(checkpoint, path)
        written = sink.write(
            path, layout, lambda: flow.outcomes(lambda keys: reader.records(keys, outputs=True))
        )
        warn_of_formulas(written, layout, warn)
        return path


def _check_replaceable(reader: Reader, path: Path, overwrite: bool) -> None:
    if path.exists() and not is_ours(reader, path) and not overwrite:
        raise OutputError(
            f"{path} exists, and neither this job nor an export of it wrote it.",
            mend="Name another file with -o, or replace this one with --overwrite.",
            code="output_exists",
        )
