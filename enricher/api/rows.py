"""Rows of a job as its checkpoint knows them, a page at a time."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from enricher.api.folding import stored_rows
from enricher.api.inputs import open_source
from enricher.api.wiring import stored_mapping
from enricher.checkpoint import Reader
from enricher.job import Job, make_job
from enricher.model import Json, RowStatus


@dataclass(frozen=True, slots=True)
class RowTold:
    """One row: `number` counts from 1, `outputs` are by name; `error` is `CODE: message`."""

    number: int
    status: RowStatus
    error: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows; `matching` have one of the statuses in all."""

    rows: tuple[RowTold, ...]
    matching: int


def stored_job(checkpoint: Path, job_id: str | None = None) -> Job:
    """A job with the options of its last invocation.

    Raises:
        CheckpointError: not a checkpoint, or no such job.
    """
    with Reader(checkpoint.absolute()) as reader:
        return make_job(reader.job(job_id).options)


def rows_told(
    checkpoint: Path,
    job_id: str | None,
    statuses: Collection[RowStatus],
    *,
    offset: int = 0,
    limit: int = 20,
) -> Page:
    """Rows of these statuses, in input order; safe while the job runs. Reads the whole input.

    Raises:
        CheckpointError, InputError, MappingError, SelectionError: see `errors`.
    """
    with Reader(checkpoint.absolute()) as reader:
        record = reader.job(job_id)
        job = make_job(record.options)
        lookup = partial(reader.records, outputs=True)
        rows: list[RowTold] = []
        matching = number = 0
        table = open_source(job)
        mapping = stored_mapping(record, table)
        with stored_rows(reader, record, job, table, lookup) as shown:
            names = {column.id: column.name for column in shown.columns}
            for batch, outcomes in shown.outcomes():
                for sent, outcome in zip(mapping.inputs_of(batch), outcomes, strict=True):
                    number += 1
                    if outcome.status not in statuses:
                        continue
                    matching += 1
                    if offset < matching <= offset + limit:
                        found = outcome.outputs or {}
                        named = {names.get(id_, id_): value for id_, value in found.items()}
                        told = RowTold(number, outcome.status, outcome.error, sent or {}, named)
                        rows.append(told)
        return Page(tuple(rows), matching)
