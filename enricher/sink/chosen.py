"""Only some of the rows: those that are enriched, or those that failed and are to be fed back."""

from collections.abc import Callable, Sequence

import polars as pl

from enricher.formats import Dialect
from enricher.model import RowStatus
from enricher.record import Outcome
from enricher.sink.layout import Layout, Pair, status_columns

FAILURE_PREFIX = "failure"
"""Other names than the output has: what is fed back must not be taken for an output."""

_FAILED = (RowStatus.FAILED, RowStatus.IN_DOUBT)


def enriched(pair: Pair) -> Pair:
    """Of a batch the rows that have a result."""
    return _only(pair, lambda outcome: outcome.status is RowStatus.COMPLETED)


def failed(pair: Pair, columns: Sequence[str]) -> Pair:
    """Of a batch the rows that failed or are in doubt; those that were left out are not the job's.

    Their columns are those of `failure_layout(columns)`.
    """
    batch, outcomes = _only(pair, lambda o: o.status in _FAILED and not o.left_out)
    kept = [str(position) for position in _inputs(columns)]
    return batch.select(kept), outcomes


def failure_layout(
    columns: Sequence[str], dialect: Dialect | None, *, excel_safe: bool = False
) -> Layout:
    """The columns of a file of failures: the input's, then status and error.

    Those that the input has from an earlier file of failures are written anew.
    """
    kept = tuple(columns[position] for position in _inputs(columns))
    return Layout(kept, (), FAILURE_PREFIX, dialect, excel_safe=excel_safe)


def is_of_failures(columns: Sequence[str]) -> bool:
    """Whether a table is a file of failures that is fed back."""
    return set(status_columns(FAILURE_PREFIX)) <= set(columns)


def _inputs(columns: Sequence[str]) -> list[int]:
    ours = status_columns(FAILURE_PREFIX)
    return [position for position, name in enumerate(columns) if name not in ours]


def _only(pair: Pair, wanted: Callable[[Outcome], bool]) -> Pair:
    batch, outcomes = pair
    kept = [wanted(outcome) for outcome in outcomes]
    if all(kept):
        return batch, outcomes
    rows = batch.filter(pl.Series(kept, dtype=pl.Boolean))
    return rows, [outcome for outcome, keep in zip(outcomes, kept, strict=True) if keep]
