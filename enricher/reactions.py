"""What follows from an answer: the table of request × verdict → reaction. Pure.

The engine carries a reaction out: it writes the event, repeats the request, stops.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from enricher.model import (
    Cause,
    Completed,
    Doubted,
    End,
    Failed,
    GotId,
    Item,
    Stalled,
    Stop,
    StopCode,
    Withdrew,
)
from enricher.notice import EventName, Notice
from enricher.verdicts import (
    Accepted,
    BatchAnswered,
    BatchRejected,
    BatchTooLarge,
    Broken,
    Done,
    Ends,
    InProgress,
    ItemVerdict,
    JobStops,
    KeyRejected,
    Malformed,
    MaybeSent,
    NotSent,
    Ready,
    Refused,
    RowRejected,
    RunFailed,
    SaidToEveryone,
    StillRunning,
    Verdict,
)

REFUSALS_IN_A_ROW = 5

LOOKS_AT_A_MISSING_RUN = 4
"""A run may be unknown for a moment after it was accepted (read after write)."""

LOOKS_WITHOUT_SENSE = 8
"""Looks at one run that bring no usable answer, before it is left to a later invocation."""


class Again(enum.Enum):
    """When a request is repeated."""

    AT_ONCE = "as soon as the gate allows"
    AFTER_BACKOFF = "after a wait that grows with every fault"


@dataclass(frozen=True, slots=True)
class Reaction:
    """What to do: write `event`, repeat the request, stop the job, tell a person `note` once.

    `stage` is that of a look which follows at once.
    """

    event: GotId | End | None = None
    again: Again | None = None
    stop: Stop | None = None
    note: str = ""
    stage: str = ""


class Refusals:
    """Tells one poison row from a refusal that every row would meet.

    A suspicious refusal (an error that no document ties to the inputs) fails its row. It stops the
    job when it is the first answer of a pass, or at 5 different rows in a row: then it is the
    request that is wrong, and each further row would only repeat it.

    Args:
        answered: whether this pass had answers to submissions before.
    """

    def __init__(self, *, answered: bool) -> None:
        self._answered = answered
        self._in_a_row = 0

    def good_answer(self) -> None:
        self._answered = True
        self._in_a_row = 0

    def count(self, key: bytes, refused: RowRejected) -> Reaction:
        """What follows for the row `key` and for the job."""
        stop = Stop(StopCode.REFUSED, f"{refused.code}: {refused.message}")
        if refused.suspicious and not self._answered:
            return Reaction(Withdrew(key), Again.AT_ONCE, stop)
        self._answered = True
        self._in_a_row = self._in_a_row + 1 if refused.suspicious else 0
        failed = Failed(key, refused.code, refused.message)
        return Reaction(failed, stop=stop if self._in_a_row >= REFUSALS_IN_A_ROW else None)


def after_submission(key: bytes, verdict: Verdict, refusals: Refusals) -> Reaction:
    """What the answer to the submission of `key` leads to.

    An event that is no end is always `GotId` or `Withdrew`; after a `Withdrew` the item is
    submitted again.
    """
    if isinstance(verdict, Accepted | Ends):
        refusals.good_answer()
    match verdict:
        case Accepted(run_id, stage):
            return Reaction(GotId(key, run_id), stage=stage)
        case Done(outputs, names):
            return Reaction(Completed(key, outputs, names))
        case RunFailed(code, message):
            return Reaction(Failed(key, code, message))
        case MaybeSent(reason) | Malformed(reason):
            return Reaction(Doubted(key, reason))
        case NotSent():
            return Reaction(Withdrew(key), Again.AFTER_BACKOFF)
        case Refused():
            return Reaction(Withdrew(key), Again.AT_ONCE)
        case RowRejected():
            return refusals.count(key, verdict)
        case KeyRejected() | JobStops():
            return replace(said_to_everyone(verdict), event=Withdrew(key), again=Again.AT_ONCE)
    raise TypeError(f"{verdict} is no answer to a submission")


def after_look(
    key: bytes, verdict: Verdict, *, faults: int, too_old: bool, last_look: bool
) -> Reaction:
    """What the answer to a look at the run of `key` leads to.

    Args:
        faults: looks at this run in a row that brought no usable answer, before this one.
        too_old: the run is older than the run timeout.
        last_look: an earlier invocation gave the run up; it is looked at once more.
    """
    match verdict:
        case Done(outputs, names):
            return Reaction(Completed(key, outputs, names))
        case RunFailed(code, message):
            return Reaction(Failed(key, code, message))
        case StillRunning(remark):
            note = f"the server answered with an {remark}; taken as still running" if remark else ""
            text = "still running; the id is kept and looked at next time"
            given_up = Stalled(key, "RUN_TIMEOUT", text) if too_old or last_look else None
            return Reaction(given_up, note=note)
        case Ready(stage):
            return Reaction(stage=stage)
        case Refused():
            return Reaction(again=Again.AT_ONCE)
        case KeyRejected() | JobStops():
            return replace(said_to_everyone(verdict), again=Again.AT_ONCE)
    given_up = _given_up(key, verdict, faults + 1, too_old=too_old, last_look=last_look)
    return Reaction(given_up) if given_up else Reaction(again=Again.AFTER_BACKOFF)


def _given_up(
    key: bytes, verdict: Verdict, faults: int, *, too_old: bool, last_look: bool
) -> Stalled | None:
    """A run that no look brings an answer about is left alone; its id is kept."""
    match verdict:
        case RowRejected(code, message) if last_look or faults >= LOOKS_AT_A_MISSING_RUN:
            return Stalled(key, code, f"{message}; it may have been charged")
        case Malformed(reason) if faults >= LOOKS_WITHOUT_SENSE:
            return Stalled(key, "MALFORMED_ANSWER", f"{reason}; the id is kept")
        case NotSent(reason) | MaybeSent(reason) if faults >= LOOKS_WITHOUT_SENSE and (
            too_old or last_look
        ):
            return Stalled(key, "RUN_TIMEOUT", f"no answer about this run: {reason}")
        case NotSent() | MaybeSent() | Malformed() | RowRejected():
            return None
    raise TypeError(f"{verdict} is no answer to a look")


def said_to_everyone(verdict: SaidToEveryone) -> Reaction:
    """What a refusal that every request would meet means for the job."""
    match verdict:
        case JobStops(code, message, mend):
            words = f"{code}: {message}"
            return Reaction(stop=Stop(StopCode.REFUSED, f"{words} ({mend})" if mend else words))
        case KeyRejected(_, renewed=True):
            return Reaction(
                note=Notice(
                    EventName.KEY_RELOADED,
                    "the key was refused; the key file holds another one, going on with it",
                )
            )
        case KeyRejected(message):
            return Reaction(stop=Stop(StopCode.KEY_REVOKED, f"INVALID_API_KEY: {message}"))


# --- batches --------------------------------------------------------------------------------

MOST_BROKEN = 5
"""Submissions of an item on which the provider says that it broke; each may have been metered."""


@dataclass(frozen=True, slots=True)
class BatchReaction:
    """What to do about a batch: end it, or repeat its request; stop the job, tell a person.

    Attributes:
        events: what became of each item; `None` while the batch goes on.
        back: items to be submitted again, in any batch.
        apart: items to be submitted again, each tuple in a batch of its own.
        most: how many items a batch may hold, if that was learnt.
    """

    events: tuple[End, ...] | None = None
    back: tuple[Item, ...] = ()
    apart: tuple[tuple[Item, ...], ...] = ()
    again: Again | None = None
    most: int | None = None
    stop: Stop | None = None
    note: str = ""


def after_batch(
    items: tuple[Item, ...],
    verdict: Verdict,
    refusals: Refusals,
    *,
    faults: int,
    forgotten: bool,
    broken: Mapping[bytes, int],
) -> BatchReaction:
    """What the answer to the submission of a batch leads to.

    Args:
        faults: requests of this batch in a row that brought no usable answer, before this one.
        forgotten: the provider may not recognise the request any more.
        broken: how often the provider broke on an item before.
    """
    match verdict:
        case BatchAnswered(verdicts):
            refusals.good_answer()
            return _answered(items, verdicts, broken)
        case BatchTooLarge(most):
            return _too_large(items, most)
        case BatchRejected(code, message):
            return _rejected(items, code, message, refusals)
        case Refused():
            return BatchReaction(again=Again.AT_ONCE)
        case InProgress():
            return BatchReaction(again=Again.AFTER_BACKOFF)
        case KeyRejected() | JobStops():
            said = said_to_everyone(verdict)
            return BatchReaction(again=Again.AT_ONCE, stop=said.stop, note=said.note)
        case NotSent() | MaybeSent() | Malformed():
            senseless = isinstance(verdict, Malformed) and faults + 1 >= LOOKS_WITHOUT_SENSE
            if forgotten or senseless:
                return BatchReaction(tuple(Doubted(item.key, verdict.reason) for item in items))
            return BatchReaction(again=Again.AFTER_BACKOFF)
    raise TypeError(f"{verdict} is no answer to a batch")


def _answered(
    items: tuple[Item, ...], verdicts: Sequence[ItemVerdict], broken: Mapping[bytes, int]
) -> BatchReaction:
    events: list[End] = []
    back: list[Item] = []
    for item, verdict in zip(items, verdicts, strict=True):
        match verdict:
            case Done(outputs, names, provisional):
                events.append(Completed(item.key, outputs, names, provisional))
            case RowRejected(code, message):
                events.append(Failed(item.key, code, message))
            case Broken(code, message) if broken.get(item.key, 0) + 1 >= MOST_BROKEN:
                events.append(Failed(item.key, code, f"{message}; it may have been metered"))
            case Broken(code, message):
                events.append(Doubted(item.key, f"{code}: {message}", again=True))
                back.append(
                    replace(item, supersedes=item.attempt, cause=Cause.IN_DOUBT),
                )
    return BatchReaction(tuple(events), back=tuple(back))


def _too_large(items: tuple[Item, ...], told: int | None) -> BatchReaction:
    if len(items) == 1:
        text = "the provider takes no batch of even one item"
        return BatchReaction((Failed(items[0].key, "BATCH_TOO_LARGE", text),))
    most = told if told and told < len(items) else len(items) // 2
    return BatchReaction(_withdrawn(items), back=items, most=most)


def _rejected(
    items: tuple[Item, ...], code: str, message: str, refusals: Refusals
) -> BatchReaction:
    """Halves are submitted apart, until the item that is not valid stands alone."""
    if len(items) > 1:
        half = len(items) // 2
        return BatchReaction(_withdrawn(items), apart=(items[:half], items[half:]))
    alone = refusals.count(items[0].key, RowRejected(code, message, suspicious=True))
    if not isinstance(alone.event, Failed | Withdrew):
        raise TypeError(f"{alone.event} is not what a refusal leads to")
    return BatchReaction((alone.event,), back=items if alone.again else (), stop=alone.stop)


def _withdrawn(items: tuple[Item, ...]) -> tuple[End, ...]:
    return tuple(Withdrew(item.key) for item in items)
