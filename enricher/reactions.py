"""What follows from an answer: the table of request × verdict → reaction. Pure.

The engine carries a reaction out: it writes the event, repeats the request, stops.
"""

import enum
from dataclasses import dataclass, replace

from enricher.model import (
    Completed,
    Doubted,
    Event,
    Failed,
    GotId,
    Stalled,
    Stop,
    StopCode,
    Withdrew,
)
from enricher.notice import EventName, Notice
from enricher.verdicts import (
    Accepted,
    Done,
    Ends,
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

    event: Event | None = None
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
