"""What is to be done about a row, and what a job would cost. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from enricher.model import Cause, Mode, RowStatus, State
from enricher.record import InDoubt, Outcome, Record, Wanted, covers

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
    cause: Cause = Cause.NEW


@dataclass(frozen=True, slots=True)
class Ended:
    """Answered, as far as this job asks; `kept_old` if a refresh in this pass brought nothing."""

    status: RowStatus
    kept_old: bool = False


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Submitted, and looked at until it ends.

    `stalled` if an earlier look gave it up, `refresh` if an older result stands until then.
    """

    stalled: bool = False
    refresh: bool = False


Fate = Buy | Ended | UnderWay

LOST = "REQUEST_NOT_FOUND"
"""The code of a run that the provider does not know any more."""

CLOSED_DOUBT = "IN_DOUBT"
"""The code of a submission in doubt that a person had closed as failed."""


def fate_of(record: Record | None, wanted: Wanted) -> Fate:
    """What is to be done for inputs with this record."""
    if record is None:
        return Buy()
    if record.has_outputs and covers(record.outputs_asked, wanted.asked):
        return _fate_of_result(record, wanted)
    match record.state:
        case State.SUBMITTING | State.RUNNING:
            return UnderWay()
        case State.STALLED:
            return UnderWay(stalled=True)
        case State.IN_DOUBT:
            return Ended(RowStatus.IN_DOUBT)
        case State.FAILED if covers(record.asked, wanted.asked):
            again = wanted.retry_failed and _may_fail_again(record, wanted)
            return Buy(record.attempt, Cause.FAILED) if again else Ended(RowStatus.FAILED)
    return Buy(supersedes=record.attempt)


def _fate_of_result(record: Record, wanted: Wanted) -> Fate:
    """A result that serves; a newer attempt, however it stands, is a refresh or for more columns.

    A result of more columns than are asked for is not replaced by one of fewer: they were paid.
    """
    fresh = record.outputs_at >= wanted.refresh_before and not _is_outdated_stand_in(record, wanted)
    if fresh or is_kept_broad(record, wanted):
        return Ended(RowStatus.COMPLETED)
    if record.state in (State.SUBMITTING, State.RUNNING):
        serves = covers(record.asked, wanted.asked)
        return UnderWay(refresh=True) if serves else Ended(RowStatus.COMPLETED)
    if _is_tried(record, wanted) or record.state is State.IN_DOUBT:
        return Ended(RowStatus.COMPLETED, kept_old=True)
    if record.state is State.STALLED:
        return UnderWay(stalled=True, refresh=True)
    return Buy(record.attempt, Cause.REFRESH)


def _is_outdated_stand_in(record: Record, wanted: Wanted) -> bool:
    """What the provider itself called no real answer is asked for again in every pass."""
    return record.provisional and record.outputs_at < wanted.pass_began


def is_kept_broad(record: Record, wanted: Wanted) -> bool:
    """Whether a result is too old, but holds more output columns than are asked for now."""
    serves = record.has_outputs and covers(record.outputs_asked, wanted.asked)
    old = serves and record.outputs_at < wanted.refresh_before
    return old and not covers(wanted.asked, record.outputs_asked)


def fate_of_doubt(record: Record | None, wanted: Wanted) -> Fate | None:
    """What is to be done after all other work about what is in doubt; `None` for all else.

    A run that the provider does not know any more may be submitted again like one in doubt: an
    earlier look has not found it. It is done once in a pass, and not for inputs that have a result
    which nobody wants refreshed.
    """
    if record is None or wanted.in_doubt is InDoubt.HOLD:
        return None
    doubtful = record.state is State.IN_DOUBT
    lost = record.code == LOST and record.state in (State.STALLED, State.FAILED)
    if not doubtful and not lost and record.code != CLOSED_DOUBT:
        return None
    if wanted.in_doubt is InDoubt.FAIL:
        return Ended(RowStatus.FAILED) if doubtful else None
    answered = fate_of(record, wanted) == Ended(RowStatus.COMPLETED)
    once = _is_tried(record, wanted) and record.before in _DOUBTFUL
    ended_before = record.ended_at < wanted.pass_began
    closed = record.state is State.FAILED and not (wanted.retry_failed and ended_before)
    if answered or once or closed or record.attempt >= wanted.max_attempts:
        return None
    return Buy(record.attempt, Cause.IN_DOUBT)


def is_used_up(record: Record, wanted: Wanted) -> bool:
    """Whether it would be sent again, were it not for the number of submissions that it has had."""
    if record.attempt < wanted.max_attempts:
        return False
    once_more = replace(wanted, max_attempts=record.attempt + 1)
    given = fate_of_doubt(record, once_more) or fate_of(record, once_more)
    return isinstance(given, Buy) and given.cause in (Cause.FAILED, Cause.IN_DOUBT)


_DOUBTFUL = (State.IN_DOUBT, State.STALLED)


def _is_tried(record: Record, wanted: Wanted) -> bool:
    return record.tried_in == wanted.this_pass


def _may_fail_again(record: Record, wanted: Wanted) -> bool:
    """What ended in an earlier pass; a run that may have been paid is a doubt, not a failure."""
    earlier = record.ended_at < wanted.pass_began and not _is_tried(record, wanted)
    doubtful = record.code in (CLOSED_DOUBT, LOST)
    return earlier and record.attempt < wanted.max_attempts and not doubtful


def outcome_of(record: Record | None, wanted: Wanted) -> Outcome:
    """What the output shows for inputs with this record."""
    fate = fate_of(record, wanted)
    if record and record.has_outputs and covers(record.outputs_asked, wanted.asked):
        return Outcome(RowStatus.COMPLETED, outputs=record.outputs, kept_old=_keeps_old(fate))
    match fate:
        case Ended(status):
            return Outcome(status, _error(record))
        case UnderWay(stalled=True):
            return Outcome(RowStatus.FAILED, _error(record))
        case Buy(cause=Cause.FAILED):
            return Outcome(RowStatus.FAILED, _error(record))
        case _:
            return Outcome(RowStatus.PENDING)


def outcome_of_left_out(record: Record | None, wanted: Wanted) -> Outcome:
    """What it shows of a row that is not submitted for: what is there already, or is under way."""
    shown = replace(outcome_of(record, wanted), left_out=True)
    if shown.status is RowStatus.PENDING and isinstance(fate_of(record, wanted), Buy):
        return replace(shown, status=RowStatus.SKIPPED)
    return shown


def is_outdated(record: Record, wanted: Wanted) -> bool:
    """Whether a result that serves was asked for when the target was another."""
    serves = record.has_outputs and covers(record.outputs_asked, wanted.asked)
    told = bool(record.revision and wanted.revision)
    return serves and told and record.revision != wanted.revision


def _keeps_old(fate: Fate) -> bool:
    """Whether a refresh brought nothing: it ended without a result, or a look gave it up."""
    match fate:
        case Ended(kept_old=kept):
            return kept
        case UnderWay(stalled=stalled):
            return stalled
    return False


def _error(record: Record | None) -> str:
    if record is None:
        return ""
    default = "IN_DOUBT" if record.state is State.IN_DOUBT else "RUN_FAILED"
    code = record.code or default
    return f"{code}: {record.message}" if record.message else code


ASK_ABOVE = 1000
"""New runs above which a person is asked first."""


@dataclass(frozen=True, slots=True)
class Census:
    """What one complete reading of the input found.

    `new_runs` counts distinct inputs to buy, `bought_before` those of them that have a result of
    fewer output columns; `reused` counts rows with an answer already, `not_refreshed` those of
    them whose result is too old and holds more output columns than are asked for, `outdated` those
    whose result is from before a change of the target, `used_up` those that would be sent again,
    had they not been sent as often as is allowed. `ragged_lines` counts rows that were padded or
    passed over. `left_out` tells why rows are skipped, `blank` in how many of the rows to buy a
    label has no text; `content` is a digest of what all rows send, whatever their order.
    """

    total: int
    skipped: int
    reused: int
    new_rows: int
    new_runs: int
    bought_before: int
    blank_lines: int
    not_refreshed: int = 0
    ragged_lines: int = 0
    outdated: int = 0
    used_up: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    blank: Mapping[str, int] = field(default_factory=dict)
    content: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Requests and seconds that `runs` new runs need at `rate` requests a second."""

    requests: int
    seconds: float


def requests_per_run(
    mode: Mode, submitted: int = 0, requests: int = 0, *, collected: bool = False, batch: int = 0
) -> float:
    """What runs usually need, or did the last time: so many `requests` for those `submitted`.

    Args:
        collected: a result has a request of its own, which may be held until the run has ended.
        batch: how many runs one request makes, where it makes more than one.
    """
    if submitted >= _KNOWN:
        return requests / submitted
    if batch:
        return 1 / batch
    if not collected:
        return REQUESTS_PER_RUN[mode]
    return 1 + REQUESTS_PER_RUN[Mode.ASYNC if mode is Mode.ASYNC else Mode.SYNC]


def estimate(
    runs: int, rate: float, in_flight: int = 0, per_run: float = 2.1, *, last: float = 0.0
) -> Estimate:
    """What is left for `runs` new runs, and `in_flight` that are submitted already.

    Args:
        last: seconds for which the last run goes on when everything else is done.
    """
    looks = in_flight * (per_run - 1)
    requests = PREFLIGHT_REQUESTS + round(runs * per_run + looks)
    whole = math.floor(rate) if 1 <= rate < math.inf else rate  # in any one second
    seconds = requests / (whole * SHARE_OF_LIMIT) + (last if runs else 0.0)
    return Estimate(requests, round(seconds, 1))
