"""What one answer of a provider means. The provider says which; what follows is `reactions`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from enricher.model import Credits, Json


@dataclass(frozen=True, slots=True)
class Accepted:
    """The run has an id and goes on at the provider.

    `stage` is set if its end is to be waited for with one look of that stage, which is held open.
    """

    run_id: str
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The run is complete. `outputs` is `{output id: value}`, `names` `{output id: name}`.

    `provisional`: the provider calls the answer a stand-in for the real one.
    """

    outputs: Mapping[str, Json]
    names: Mapping[str, str]
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The provider ended the run without outputs; never resent by itself."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class StillRunning:
    """Not finished; `remark` is set when the status was one that no document names."""

    remark: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """The run has ended, and a look of this `stage`, the provider's own word, brings its result."""

    stage: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Told to wait; nothing was processed and nothing is counted as an attempt."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """The request did not leave this machine: safe to repeat."""

    reason: str


@dataclass(frozen=True, slots=True)
class MaybeSent:
    """The request may have been processed, and no usable answer came."""

    reason: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """An answer came that is not the documented one."""

    reason: str


@dataclass(frozen=True, slots=True)
class RowRejected:
    """These inputs (or this run id) were refused; `suspicious` if it may be everybody's fate."""

    code: str
    message: str
    suspicious: bool = False


@dataclass(frozen=True, slots=True)
class KeyRejected:
    """The key that this very request carried was refused; `renewed` if another is loaded now."""

    message: str
    renewed: bool


@dataclass(frozen=True, slots=True)
class JobStops:
    """Every further request would meet the same answer: a person must act, as `mend` says."""

    code: str
    message: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Alive:
    """A probe was answered; `credits` where the answer tells the balance."""

    credits: Credits | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """A free request was answered with `data`."""

    data: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Broken:
    """The provider answered that it broke on this item of a batch; it may have been metered."""

    code: str
    message: str


ItemVerdict = Done | RowRejected | Broken
"""What became of one item of a batch."""


@dataclass(frozen=True, slots=True)
class BatchAnswered:
    """Each item of the batch has its own verdict, in order."""

    items: tuple[ItemVerdict, ...]


@dataclass(frozen=True, slots=True)
class BatchTooLarge:
    """Nothing was processed; `most` items would have been, `None` if that is not told."""

    most: int | None


@dataclass(frozen=True, slots=True)
class BatchRejected:
    """Nothing was processed: one of the items, nobody says which, is not valid."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class InProgress:
    """The very same batch is being processed: to be asked for again a little later."""


Verdict = (
    Accepted
    | Done
    | RunFailed
    | StillRunning
    | Ready
    | Refused
    | NotSent
    | MaybeSent
    | Malformed
    | RowRejected
    | KeyRejected
    | JobStops
    | Alive
    | Facts
    | BatchAnswered
    | BatchTooLarge
    | BatchRejected
    | InProgress
)

Ends = Done | RunFailed
"""The run is over."""

Faults = NotSent | MaybeSent | Malformed
"""The server gave no usable answer."""

SaidToEveryone = KeyRejected | JobStops
"""No request of this job would be answered otherwise."""


@dataclass(frozen=True, slots=True)
class RateSignal:
    """What an answer said of the rate limit: `limit` in requests/s, `retry_after` in seconds.

    `limited` is true for a 429: the request came too early. `nonsense` tells a person which headers
    could not be followed as they were; it says nothing of the rate.
    """

    limit: float | None = None
    retry_after: float | None = None
    limited: bool = False
    nonsense: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What one request brought: its meaning, and what it told of the pace."""

    verdict: Verdict
    signal: RateSignal = field(default_factory=RateSignal)
