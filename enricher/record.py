"""What the checkpoint holds of an item, what an invocation asks of it, and what a row shows."""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass

from enricher.model import Json, RowStatus, State


@dataclass(frozen=True, slots=True)
class Record:
    """An item as the checkpoint holds it.

    `asked` are the output columns of the newest attempt, `None` for all; `outputs` those of the
    newest *completed* attempt (`None` if there is none), `outputs_asked` what that one asked, and
    `outputs_at` when it ended. `tried_in` is the pass of the newest attempt, `before` the state of
    the attempt that it superseded (`IN_DOUBT` also if that doubt was closed as failed). `revision`
    is that of the target when the outputs were asked for; `provisional` outputs serve the pass in
    which they came. Times in seconds since 1970.
    """

    state: State
    attempt: int
    asked: frozenset[str] | None
    code: str = ""
    message: str = ""
    outputs: Mapping[str, Json] | None = None
    outputs_asked: frozenset[str] | None = None
    has_outputs: bool = False
    outputs_at: float = 0.0
    ended_at: float = 0.0
    tried_in: int = 0
    before: State | None = None
    revision: str = ""
    provisional: bool = False


class LeftOut(enum.StrEnum):
    """Why a row is not submitted for."""

    BLANK = "nothing to send"
    STEP = "not for this step"
    REQUIRE = "--require"
    WHERE = "--where"
    SAMPLE = "--sample"
    OFFSET = "--offset"
    LIMIT = "--limit"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one row of the output shows; `error` is `CODE: message` or empty.

    `kept_old`: a refresh in this pass brought no new result, and the old one stands.
    `left_out`: the row was not to be submitted for, and its failure is none of the job.
    """

    status: RowStatus
    error: str = ""
    outputs: Mapping[str, Json] | None = None
    kept_old: bool = False
    left_out: bool = False


class InDoubt(enum.StrEnum):
    """What to do about a submission whose answer was lost."""

    HOLD = "hold"
    """Leave it for a person."""
    RETRY = "retry"
    """Submit it again, once in a pass, after all other work."""
    FAIL = "fail"
    """Close it as failed."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one invocation asks of results and of what went wrong before.

    Attributes:
        asked: the output columns, `None` for all.
        this_pass: the id of the pass, and when it began, in seconds since 1970.
        retry_failed: submit again what failed before the pass, `max_attempts` in all.
        refresh_before: results from before this time are run again; 0 for none.
        revision: what the target is like now; empty if it does not tell.
    """

    asked: frozenset[str] | None
    this_pass: int = 0
    pass_began: float = math.inf
    in_doubt: InDoubt = InDoubt.HOLD
    retry_failed: bool = False
    max_attempts: int = 3
    refresh_before: float = 0.0
    revision: str = ""


def covers(stored: frozenset[str] | None, wanted: frozenset[str] | None) -> bool:
    """Whether a result asked for `stored` columns serves `wanted` ones (`None` is all)."""
    return stored is None or (wanted is not None and wanted <= stored)
