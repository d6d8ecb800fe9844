"""The summaries of all shards of a job, as one of the whole. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from enricher.report.summary import (
    CreditTotals,
    Live,
    RequestTotals,
    RowTotals,
    RunTotals,
    Summary,
    added,
)


def added_up(shell: Summary, parts: Sequence[Summary]) -> Summary:
    """`shell`, which knows the job, with the counts of `parts`: its shards that were begun."""
    return replace(
        shell,
        rows=added(RowTotals, [part.rows for part in parts]),
        runs=added(RunTotals, [part.runs for part in parts]),
        requests=added(RequestTotals, [part.requests for part in parts]),
        credits=CreditTotals(
            _most(part.credits.before for part in parts),
            _least(part.credits.after for part in parts),
        ),
        eta_seconds=_most(part.eta_seconds for part in parts),
        live=_live([part.live for part in parts if part.live]),
    )


def _live(parts: Sequence[Live]) -> Live | None:
    """How all are going: they send in one limit, and spend out of one account."""
    if not parts:
        return None
    errors: Counter[str] = Counter()
    for part in parts:
        errors.update(part.errors)
    return Live(
        runs_per_second=_sum(part.runs_per_second for part in parts),
        rate=_least(part.rate for part in parts),
        use=_sum(part.use for part in parts),
        credits=_least(part.credits for part in parts),
        errors=errors,
    )


def _most(each: Iterable[float | None]) -> float | None:
    return max((one for one in each if one is not None), default=None)


def _least(each: Iterable[float | None]) -> float | None:
    return min((one for one in each if one is not None), default=None)


def _sum(each: Iterable[float | None]) -> float | None:
    told = [one for one in each if one is not None]
    return sum(told) if told else None
