"""A batch of outcomes, column by column."""

from collections.abc import Mapping, Sequence

import polars as pl

from enricher.cell import well_formed
from enricher.model import Json, OutputColumn
from enricher.record import Outcome

_NOTHING: Mapping[str, Json] = {}


def values_of(outcomes: Sequence[Outcome], columns: Sequence[OutputColumn]) -> list[list[Json]]:
    """For each column the values of all rows; `None` where there is none."""
    rows = [outcome.outputs or _NOTHING for outcome in outcomes]
    return [[row.get(column.id) for row in rows] for column in columns]


def status_and_error(outcomes: Sequence[Outcome]) -> tuple[pl.Series, pl.Series]:
    """The two status columns; no error is null."""
    statuses = [outcome.status.value for outcome in outcomes]
    errors = [well_formed(outcome.error) or None for outcome in outcomes]
    return pl.Series(statuses, dtype=pl.String), pl.Series(errors, dtype=pl.String)
