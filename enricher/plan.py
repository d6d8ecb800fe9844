"""What is to be done about a row, and what a job would cost. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from enricher.model import Mode, Outcome, Record, RowStatus, State, covers

REQUESTS_PER_RUN: Mapping[Mode, float] = {Mode.ASYNC: 2.1, Mode.AUTO: 2.1, Mode.SYNC: 1.02}
"""A submission and about one look, or none: what runs of usual lengths need."""

_KNOWN = 12
"""Submissions of an earlier invocation that tell more than the usual."""

PREFLIGHT_REQUESTS = 3
SHARE_OF_LIMIT = 0.97
"""How much of the limit even pacing with its margin uses."""


@dataclass(frozen=True, slots=True)
class Buy:
    """To be submitted; `supersedes` is the attempt that it replaces, 0 for none."""

    supersedes: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """Answered, as far as this job asks."""

    status: RowStatus


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Submitted, and looked at until it ends; `stalled` if an earlier look gave it up."""

    stalled: bool = False


Fate = Buy | Ended | UnderWay


def fate_of(record: Record | None, asked: frozenset[str] | None) -> Fate:
    """What is to be done for inputs with this record when the outputs `asked` are wanted."""
    if record is None:
        return Buy()
    if record.has_outputs and covers(record.outputs_asked, asked):
        return Ended(RowStatus.COMPLETED)  # a newer attempt, however it stands, is for more columns
    if record.state in (State.SUBMITTING, State.RUNNING):
        return UnderWay()
    if record.state is State.STALLED:
        return UnderWay(stalled=True)
    if record.state is State.IN_DOUBT:
        return Ended(RowStatus.IN_DOUBT)
    if record.state is State.FAILED and covers(record.asked, asked):
        return Ended(RowStatus.FAILED)
    return Buy(supersedes=record.attempt)


def outcome_of(record: Record | None, asked: frozenset[str] | None) -> Outcome:
    """What the output shows for inputs with this record."""
    fate = fate_of(record, asked)
    match fate:
        case Ended(RowStatus.COMPLETED):
            return Outcome(RowStatus.COMPLETED, outputs=record.outputs if record else None)
        case Ended(status):
            return Outcome(status, _error(record))
        case UnderWay(stalled=True):
            return Outcome(RowStatus.FAILED, _error(record))
        case _:
            return Outcome(RowStatus.PENDING)


def _error(record: Record | None) -> str:
    if record is None:
        return ""
    default = "IN_DOUBT" if record.state is State.IN_DOUBT else "RUN_FAILED"
    code = record.code or default
    return f"{code}: {record.message}" if record.message else code


@dataclass(frozen=True, slots=True)
class Census:
    """What one complete reading of the input found.

    `new_runs` counts distinct inputs to buy, `bought_before` those of them that have a result of
    fewer output columns; `reused` counts rows with an answer already.
    """

    total: int
    skipped: int
    reused: int
    new_rows: int
    new_runs: int
    bought_before: int
    blank_lines: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Requests and seconds that `runs` new runs need at `rate` requests a second."""

    requests: int
    seconds: float


def requests_per_run(mode: Mode, submitted: int = 0, requests: int = 0) -> float:
    """What runs usually need, or did the last time: so many `requests` for those `submitted`."""
    return requests / submitted if submitted >= _KNOWN else REQUESTS_PER_RUN[mode]


def estimate(runs: int, rate: float, in_flight: int = 0, per_run: float = 2.1) -> Estimate:
    """What is left for `runs` new runs, and `in_flight` that are submitted already."""
    looks = in_flight * (per_run - 1)
    requests = PREFLIGHT_REQUESTS + round(runs * per_run + looks)
    whole = math.floor(rate) if 1 <= rate < math.inf else rate  # in any one second
    return Estimate(requests, round(requests / (whole * SHARE_OF_LIMIT), 1))
