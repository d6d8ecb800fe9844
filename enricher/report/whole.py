"""The summaries of all shards of a job, as one of the whole. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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


def added_up(shell: Summary, parts: Mapping[int, Summary], accounts: int = 1) -> Summary:
    """`shell`, which knows the job, with the counts of `parts`: its shards that were begun.

    Args:
        parts: by number; shard i is of account i modulo `accounts`, each with its own limit.
    """
    told = list(parts.values())
    by_account = [
        [part for number, part in parts.items() if number % accounts == account]
        for account in range(accounts)
    ]
    return replace(
        shell,
        rows=added(RowTotals, [part.rows for part in told]),
        runs=added(RunTotals, [part.runs for part in told]),
        requests=added(RequestTotals, [part.requests for part in told]),
        credits=CreditTotals(
            _total(_most(part.credits.before for part in own) for own in by_account),
            _total(_least(part.credits.after for part in own) for own in by_account),
        ),
        eta_seconds=_most(part.eta_seconds for part in told),
        live=_live([[part.live for part in own if part.live] for own in by_account]),
    )


def _live(by_account: Sequence[Sequence[Live]]) -> Live | None:
    """How all are going: shards of one account send in one limit, and spend the same credits."""
    parts = [part for own in by_account for part in own]
    if not parts:
        return None
    errors: Counter[str] = Counter()
    for part in parts:
        errors.update(part.errors)
    rate = _total(_least(part.rate for part in own) for own in by_account)
    sent = _sum(part.use * part.rate for part in parts if part.use and part.rate)
    return Live(
        runs_per_second=_sum(part.runs_per_second for part in parts),
        rate=rate,
        use=sent / rate if sent and rate else None,
        credits=_total(_least(part.credits for part in own) for own in by_account),
        errors=errors,
    )


def _most(each: Iterable[float | None]) -> float | None:
    return max((one for one in each if one is not None), default=None)


def _least(each: Iterable[float | None]) -> float | None:
    return min((one for one in each if one is not None), default=None)


def _sum(each: Iterable[float | None]) -> float | None:
    told = [one for one in each if one is not None]
    return sum(told) if told else None


def _total(each: Iterable[float | None]) -> float | None:
    """The sum where all are known; of some it would pass for that of all."""
    known = list(each)
    return None if None in known else _sum(known)
