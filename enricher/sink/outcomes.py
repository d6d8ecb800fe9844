"""A batch of outcomes, column by column."""

from collections.abc import Sequence

import polars as pl

from enricher.cell import well_formed
from enricher.model import (
    Json,
)
from enricher.record import Outcome


def values_of(outcomes: Sequence[Outcome], key: str) -> list[Json]:
    """The values of the output `key`; `None` where there is none."""
    return [outcome.outputs.get(key) if outcome.outputs else None for outcome in outcomes]


def status_and_error(outcomes: Sequence[Outcome]) -> tuple[pl.Series, pl.Series]:
    """The two status columns; no error is null."""
    statuses = [outcome.status.value for outcome in outcomes]
    errors = [well_formed(outcome.error) or None for outcome in outcomes]
    return pl.Series(statuses, dtype=pl.String), pl.Series(errors, dtype=pl.String)
