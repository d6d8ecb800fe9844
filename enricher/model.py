"""The words of the program: frozen values, the states of an item, and the journal.

Nothing here does I/O, knows the time, SQL or HTTP. Read this file first, then `engine.py`
(how a row is worked) and `api.py` (how everything is joined).

A *row* of the input becomes *inputs*; equal inputs are one *item*, found by its content *key*;
one submission of an item is an *attempt*, numbered from 1; a *run* is what the provider makes of
it. Several rows share an item, so an item is paid once.
"""

import enum
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from enricher.errors import IllegalTransition

Json = Any
"""A JSON value: str, int, float, bool, None, list or dict with text keys."""


class State(enum.IntEnum):
    """Where the newest attempt of an item stands."""

    SUBMITTING = 1
    """The intent is on disk; whether the request left is not known yet."""
    RUNNING = 2
    """The provider gave the run an id; it is looked at until it ends."""
    STALLED = 3
    """Given up by the last look: shown as failed, looked at once by every later invocation."""
    IN_DOUBT = 4
    """The submission may have been processed, and no answer tells: a person decides."""
    COMPLETED = 5
    """The outputs are on disk."""
    FAILED = 6
    """The provider ended the run without outputs, or refused these inputs."""


WITHDRAWN = None
"""No attempt: never made, or known not to have reached the provider."""

TRANSITIONS: Mapping[State | None, frozenset[State | None]] = {
    WITHDRAWN: frozenset({State.SUBMITTING}),
    State.SUBMITTING: frozenset(
        {State.RUNNING, State.COMPLETED, State.FAILED, State.IN_DOUBT, WITHDRAWN}
    ),
    State.RUNNING: frozenset({State.COMPLETED, State.FAILED, State.STALLED}),
    State.STALLED: frozenset({State.COMPLETED, State.FAILED, State.STALLED, State.SUBMITTING}),
    State.IN_DOUBT: frozenset({State.FAILED, State.SUBMITTING}),
    State.COMPLETED: frozenset({State.SUBMITTING}),
    State.FAILED: frozenset({State.SUBMITTING}),
}
"""Every legal move. A move to `SUBMITTING` from a state is a new attempt that supersedes it."""


def moved(old: State | None, new: State | None) -> State | None:
    """Return `new`, or raise `IllegalTransition` if no row of the table allows the move."""
    if new not in TRANSITIONS[old]:
        raise IllegalTransition(f"{_label(old)} → {_label(new)}")
    return new


def sources_of(new: State | None) -> tuple[State, ...]:
    """The states from which an existing attempt may move to `new`."""
    return tuple(old for old, news in TRANSITIONS.items() if old is not None and new in news)


def _label(state: State | None) -> str:
    return "withdrawn" if state is None else state.name.lower()


class RowStatus(enum.StrEnum):
    """What `enrichment_status` of a row says."""

    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    PENDING = "pending"
    IN_DOUBT = "in_doubt"


KEY_SIZE = 16
"""Bytes of a content key."""

# --- what is asked --------------------------------------------------------------------------

Inputs = Mapping[str, str]
"""Label to text, as sent."""


class Cause(enum.Enum):
    """Why an item is submitted."""

    NEW = "it has no result that serves"
    REFRESH = "its result is too old"
    FAILED = "it failed in an earlier pass"
    IN_DOUBT = "the answer to its last submission was lost"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to buy.

    `supersedes` is the number of the attempt that this one replaces, 0 for the first.
    """

    key: bytes
    inputs: Inputs
    supersedes: int = 0
    cause: Cause = Cause.NEW

    @property
    def attempt(self) -> int:
        return self.supersedes + 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Items that one request submits, and its exact bytes.

    A request with the same `id` and bytes may be repeated for as long as the provider remembers
    the id: it is processed once.
    """

    id: str
    items: tuple[Item, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class RecoveredBatch:
    """A batch of an earlier life that is not answered; `age` in seconds since it was formed."""

    batch: Batch
    age: float


@dataclass(frozen=True, slots=True)
class Recovered:
    """A run of an earlier life whose id is on disk. `age` is in seconds since its submission."""

    key: bytes
    run_id: str
    age: float
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """An output of the target: `id` is the provider's key, `name` what people read."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Context:
    """What an answer depends on besides the inputs; part of every content key.

    `origin` is scheme, host and port; `account` the workspace's id (never the key); `source` the
    source as the user gave it, empty for the first available.
    """

    provider: str
    origin: str
    account: str
    target: str
    source: str = ""


class Mode(enum.StrEnum):
    """How runs are submitted and their results fetched."""

    ASYNC = "async"
    """Submitted, and looked at until they end."""
    SYNC = "sync"
    """The submission is held open until the run ends."""
    AUTO = "auto"
    """`ASYNC` until `SYNC` is found to be clearly faster."""


# --- what happened: events, written to the journal ------------------------------------------


@dataclass(frozen=True, slots=True)
class Intended:
    """`item` is about to be submitted.

    `batched`: its request leaves only after a `BatchFormed`, so that without one it has not left.
    """

    item: Item
    batched: bool = False


@dataclass(frozen=True, slots=True)
class Withdrew:
    """The intent did not reach the provider, or was refused unprocessed."""

    key: bytes


@dataclass(frozen=True, slots=True)
class GotId:
    """The provider accepted the submission under `run_id`."""

    key: bytes
    run_id: str


@dataclass(frozen=True, slots=True)
class Completed:
    """`provisional`: the provider calls its answer a stand-in; it serves this pass only."""

    key: bytes
    outputs: Mapping[str, Json]
    names: Mapping[str, str]
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    key: bytes
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Stalled:
    """Given up for this invocation; the id is kept."""

    key: bytes
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Doubted:
    """The submission may have been processed.

    `again`: the provider said that it broke on it, and it is submitted once more at once.
    """

    key: bytes
    reason: str
    again: bool = False


End = Withdrew | Completed | Failed | Stalled | Doubted
"""What closes an attempt in this invocation."""


@dataclass(frozen=True, slots=True)
class BatchFormed:
    """The intents of the items are one submission now."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class BatchEnded:
    """The batch was answered, or is given up: what became of each item, all at once."""

    batch_id: str
    events: tuple[End, ...]


Event = Intended | GotId | End | BatchFormed | BatchEnded


class Journal(Protocol):
    """Where events become durable, in the order in which they were given."""

    async def write(self, event: Event) -> bool:
        """Return when `event` is on disk; false if an intent was for an item already known.

        Raises:
            CheckpointError: the disk did not take it. Nothing may be submitted after that.
        """

    def post(self, event: Event) -> None:
        """Queue `event`; it is on disk a few milliseconds later.

        Raises:
            CheckpointError: an earlier event could not be written.
        """


@dataclass(slots=True)
class RequestCounts:
    """What was sent in this invocation.

    `accepted` are submissions that became runs; resubmissions are counted
    unless refused.
    """

    submit: int = 0
    poll: int = 0
    other: int = 0
    rate_limited: int = 0
    retried: int = 0
    accepted: int = 0
    resubmitted_in_doubt: int = 0
    resubmitted_failed: int = 0

    @property
    def total(self) -> int:
        return self.submit + self.poll + self.other


# --- why a job ends early -------------------------------------------------------------------


class StopCode(enum.StrEnum):
    """`reason_code` of the JSON summary."""

    REFUSED = "refused"
    """The provider says no to something that every run needs."""
    KEY_REVOKED = "key_revoked"
    SERVER_GONE = "server_gone"
    SIGNAL = "signal"
    MAX_RUNS = "max_runs"
    MAX_CREDITS = "max_credits"
    MAX_FAILURES = "max_failures"
    STOP_AFTER = "stop_after"
    INPUT_CHANGED = "input_changed"
    """Somebody wrote to the input while the job read it."""
    SUPERSEDED = "superseded"
    """Another worker of a cluster has the shard now."""
    WORKERS_LOST = "workers_lost"


SHARE_COUNTS_AFTER = 20
"""Runs or rows of which a share says something."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A number, or a share between 0 and 1 of something."""

    count: float = math.inf
    share: float = math.inf

    def reached(self, number: int, of: int) -> bool:
        enough = of >= SHARE_COUNTS_AFTER
        return number > 0 and (number >= self.count or (enough and number >= self.share * of))

    def allows(self, number: int, of: int) -> bool:
        """Whether `number` is no more than this, or than this share of `of`."""
        return number <= self.count if math.isinf(self.share) else number <= self.share * of + 1e-9

    def __str__(self) -> str:
        return f"{self.count:.0f}" if math.isinf(self.share) else f"{self.share * 100:g}%"


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more is submitted; everything acknowledged is kept. `signal` is its number, or 0."""

    code: StopCode
    reason: str
    signal: int = 0


@dataclass(frozen=True, slots=True)
class Credits:
    """The account's balance, in credits, and what it used in its current billing period."""

    remaining: float
    used: float


@dataclass(frozen=True, slots=True)
class Spent:
    """What a pass has used.

    Attributes:
        credits: in this pass, over billing periods.
        used: what the account had used in its billing period when it was last read.
        highest: the highest cost of a run seen, `None` while none is known.
        free: completed runs that cost nothing so far.
    """

    credits: float = 0.0
    used: float = 0.0
    highest: float | None = None
    free: int = 0


OnSent = Callable[[], None]
"""Called at the moment when a request leaves this machine."""


def unheard() -> None:
    """An `OnSent` for requests whose moment nobody counts."""


Warn = Callable[[str], None]
"""Takes one line for a person."""
