"""What will go wrong with one job: a value that follows from its seed alone."""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.simulation.faults import LOOK_FAULTS, STORMS, SUBMISSION_FAULTS

Row = tuple[str, str, str]
"""No., Company Name and Website, as they stand in the file."""

KEYS = tuple(f"sk-live-{n}-4f1b2c9d8e7a" for n in range(4))


class Moment(enum.Enum):
    """What the moments of a life are counted in."""

    STEP = "step"
    BEFORE_WORK = "work on the disk that is not done any more"
    AFTER_WORK = "work on the disk"
    SUBMISSION = "submission"
    ANSWER = "answer to a submission"
    SIGNAL = "second"


@dataclass(frozen=True, slots=True)
class End:
    """How a life ends, if it does not end by itself: `steps` after the `count`-th moment.

    With `Moment.SIGNAL` it is stopped after `count` seconds, and a second time `again` later.
    """

    moment: Moment
    count: float
    steps: int = 0
    again: float = math.inf


@dataclass(frozen=True, slots=True)
class Storm:
    """From `begins` on, for `lasts` seconds, all requests meet the same fault."""

    begins: float
    lasts: float
    fault: str


@dataclass(frozen=True, slots=True)
class NewKey:
    """The server takes another key from `at` on; the key file holds it `delay` seconds later."""

    at: float
    delay: float


@dataclass(frozen=True)
class Disaster:
    """One job and everything that happens to it. Times in seconds of the whole story.

    Attributes:
        options: of the job, as on the command line.
        batch: rows that are read at once.
        poison: names of inputs that the server refuses, and how.
        submission_faults, look_faults: names of faults, and how likely each is.
        limits: requests a second that the server allows, each from a time on.
        ends: of the lives, but for those that come after all disasters.
        gaps: seconds between two lives.
    """

    seed: int
    rows: tuple[Row, ...]
    batch: int
    options: dict[str, Any]
    duration: str
    fail_rate: float
    latency: float = 0.05
    connecting: float = 0.02
    unknown_for: float = 0.0
    poison: dict[str, str] = field(default_factory=dict)
    submission_faults: dict[str, float] = field(default_factory=dict)
    look_faults: dict[str, float] = field(default_factory=dict)
    storms: tuple[Storm, ...] = ()
    limits: tuple[tuple[float, float], ...] = ((0.0, 5.0),)
    new_keys: tuple[NewKey, ...] = ()
    key_in_file: bool = False
    ends: tuple[End, ...] = ()
    gaps: tuple[float, ...] = ()
    once_more: bool = False

    def limit_at(self, now: float) -> float:
        """Requests a second that the server allows at this time."""
        return next(limit for at, limit in reversed(self.limits) if at <= now)

    def rng(self, topic: str) -> Random:
        """Chance of its own for each topic, so that one does not shift the others."""
        return Random(f"{self.seed}/{topic}")


def drawn(seed: int) -> Disaster:
    """The disaster of this seed."""
    chance = Random(f"disaster {seed}")
    rows = _rows(chance)
    duration, run_timeout = chance.choice(_DURATIONS)
    ends = tuple(_end(chance) for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 4))))
    key_in_file = chance.random() < 0.5
    return Disaster(
        seed=seed,
        rows=rows,
        batch=chance.choice((4, 7, 10, 16, 1000)),
        options={
            "mode": chance.choice(("async", "async", "async", "sync", "auto")),
            "rate": chance.choice(("auto", "auto", "auto", 3, 5, 8)),
            "max_in_flight": chance.choice(("auto", "auto", "auto", 1, 3, 12)),
            "run_timeout": run_timeout,
        },
        duration=duration,
        fail_rate=chance.choice((0.0, 0.0, 0.1, 0.3)),
        latency=chance.choice((0.004, 0.05, 0.05, 0.3, 1.5)),
        connecting=chance.choice((0.01, 0.05, 0.2, 1.0)),
        unknown_for=chance.choice((0.0, 0.0, 0.0, 4.0)),
        poison=_poison(chance, rows),
        submission_faults=_some(chance, SUBMISSION_FAULTS),
        look_faults=_some(chance, LOOK_FAULTS),
        storms=_storms(chance),
        limits=_limits(chance),
        new_keys=_new_keys(chance),
        key_in_file=key_in_file,
        ends=ends,
        gaps=tuple(chance.choice((0.0, 0.05, 0.4, 1.5, 40.0, 3600.0)) for _ in range(len(ends))),
        once_more=chance.random() < 0.3,
    )


_DURATIONS = (
    ("constant:0.2", 7200),
    ("uniform:0:2", 7200),
    ("uniform:1:5", 7200),
    ("uniform:1:5", 7200),
    ("lognormal:4:0.6", 7200),
    ("bimodal:2:40:0.1", 7200),
    ("constant:15", 7200),
    ("bimodal:1:250:0.1", 100),
)
"""How long runs last, and the run timeout in seconds."""


def _rows(chance: Random) -> tuple[Row, ...]:
    """Rows of which some are equal, some blank, and some differ in one input only."""
    distinct = chance.randint(20, 36)
    rows: list[Row] = []
    for number in range(distinct + chance.randint(9, 20)):
        company = number if number < distinct else chance.randrange(distinct)
        rows.append(
            (f"{number:03}", _NAMES[company % 7].format(company // 14), f"c{company}.example")
        )
    for _ in range(chance.randint(0, 3)):
        rows.insert(chance.randint(1, len(rows)), ("00", "", chance.choice(("", "  "))))
    return tuple(rows)


_NAMES = (
    "Company {}",
    "Firma Ü{} & Söhne",
    'The "{}" Works',
    "Two, {} lines\nof name",
    " {} ",
    "株式会社{}",
    "=SUM({})",
)


def _poison(chance: Random, rows: Sequence[Row]) -> dict[str, str]:
    if chance.random() < 0.6:
        return {}
    kinds = ("invalid inputs", "too large", "no such field")
    return {chance.choice(rows[3:])[2]: chance.choice(kinds) for _ in range(chance.randint(1, 3))}


def _some(chance: Random, faults: dict[str, Any]) -> dict[str, float]:
    """A few kinds of faults; one in five jobs meets none."""
    chosen = {*chance.sample(sorted(faults), chance.choice((0, 2, 5, 8, 14)))}
    if chance.random() < 0.5:
        chosen.add(_USUAL)
    return {n: faults[n].weight * chance.choice((0.01, 0.03, 0.08)) for n in sorted(chosen)}


_USUAL = "429 and for how long"


def _storms(chance: Random) -> tuple[Storm, ...]:
    if chance.random() < 0.7:
        return ()
    begins = chance.uniform(2, 9)
    return (Storm(begins, chance.choice((5, 20, 90, 1000)), chance.choice(STORMS)),)


def _limits(chance: Random) -> tuple[tuple[float, float], ...]:
    changes = [(0.0, 5.0)]
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        changes.append((changes[-1][0] + chance.uniform(1.5, 8), chance.choice((2, 2.5, 3, 7, 12))))
    return tuple(changes)


def _new_keys(chance: Random) -> tuple[NewKey, ...]:
    if chance.random() < 0.6:
        return ()
    return (NewKey(chance.uniform(2.5, 9), chance.choice((-1.0, 0.0, 0.0, 0.5, math.inf))),)


def _end(chance: Random) -> End:
    moment = chance.choice((*Moment, *Moment, Moment.STEP, Moment.SIGNAL))
    match moment:
        case Moment.STEP:
            return End(moment, int(math.exp(chance.uniform(0, 9))))
        case Moment.SIGNAL:
            again = chance.choice((math.inf, math.inf, 0.0, 0.0, 1.0, chance.uniform(0, 10)))
            return End(moment, chance.uniform(0, 30), again=again)
        case Moment.BEFORE_WORK | Moment.AFTER_WORK:
            return End(moment, chance.randint(1, 120))
        case _:
            return End(moment, chance.randint(1, 40), steps=chance.choice((0, 1, 3, 8, 20, 60)))
