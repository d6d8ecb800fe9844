"""The looks that wait for their time, and how that time is found. Pure: `now` is given.

Each look costs one request of the limit. The plan says at which ages looks pay off; a few runs are
looked at earlier than that, since only early looks tell how short runs can be.
"""

import enum
import heapq
import itertools
import math
import statistics
from collections import deque
from dataclasses import dataclass, field

from enricher.schedule.durations import LEAST_INTERVAL, Durations, LookPlan

MOST_PRICE, LEAST_PRICE = 140.0, 1.0
"""Seconds of waiting that one look may cost. A look delays everything after it by one slot, so its
price is what is left to do, in slots; but no result shall wait for long to save one request."""

SCOUTS, SCOUTED = 4, 12
"""Runs at a time that are looked at early and often until so many durations are known."""

_LADDER = 1.5
"""A scout is looked at whenever its age has grown by this factor."""

HALFWAY_EVERY = 50
LONG = 10.0
"""Seconds: where looks wait longer than this, one run in so many is looked at after half the time.
Else a grid that became faster would never be found out."""

_NEWS, _PRICE_MOVE = 0.1, 1.25
"""The plan is made anew when so much more has been seen, or its price moved by this factor."""

_TAIL, _TAIL_FACTOR = 0.995, 1.45
"""How long the last runs take: this quantile, and so much more since few of them were seen."""


_WAITS_REMEMBERED = 10_000


class Manner(enum.Enum):
    """Why a run is looked at earlier than the plan says."""

    SCOUT = "to learn how long runs take"
    HALFWAY = "to see whether they have become faster"


@dataclass(slots=True)
class Run:
    """A run whose id is known. Times in seconds of the schedule's clock.

    Attributes:
        alive_at: the age at which it was last known to go on.
        not_before: when it may be looked at again after a fault.
        faults: looks in a row that brought no usable answer.
        stage: what the next look asks, in the provider's word; empty for how the run stands.
        held: the next look is held open until the run has ended.
        ended: it has, and its result is still to be fetched.
    """

    key: bytes
    run_id: str
    submitted_at: float
    stalled: bool = False
    alive_at: float = 0.0
    not_before: float = 0.0
    faults: int = 0
    manner: Manner | None = None
    stage: str = ""
    held: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """What there is to do, and with how many requests a second.

    `to_come` counts items that are still to be submitted, `math.inf` while nobody knows.
    """

    rate: float
    most_in_flight: int
    in_flight: int
    to_come: float

    @property
    def seconds(self) -> float:
        """What is left to do, at one request for each."""
        return (self.to_come + self.in_flight) / self.rate


@dataclass(slots=True)
class Looks:
    """Runs that wait for their next look, and what was learnt of them."""

    durations: Durations = field(default_factory=Durations)
    plan: LookPlan = field(init=False)
    tail: float = 0.0
    """Seconds that the slowest runs take; 0 while nothing is known."""

    _waiting: list[tuple[float, int, Run]] = field(default_factory=list)
    _order: "itertools.count[int]" = field(default_factory=itertools.count)
    _price: float = MOST_PRICE
    _news: int = 0
    _accepted: int = 0
    _scouts: int = 0
    _waits: deque[float] = field(default_factory=lambda: deque(maxlen=_WAITS_REMEMBERED))

    def __post_init__(self) -> None:
        self.plan = self.durations.looks_for(MOST_PRICE)

    def due_at(self) -> float:
        """When the next look is due; `math.inf` if there is none."""
        return self._waiting[0][0] if self._waiting else math.inf

    def early_at(self) -> float:
        """When it is due if slots are free: after half of the wait that is planned."""
        if not self._waiting:
            return math.inf
        at, _, run = self._waiting[0]
        alive_at = run.submitted_at + run.alive_at
        return max(run.not_before, min(at, max(alive_at + LEAST_INTERVAL, (alive_at + at) / 2)))

    def pop(self) -> Run:
        """Take the run whose look is due first."""
        return heapq.heappop(self._waiting)[2]

    def add(self, run: Run) -> None:
        """A run was accepted."""
        self._accepted += 1
        if self.durations.seen < SCOUTED and self._scouts < SCOUTS:
            self._scouts += 1
            run.manner = Manner.SCOUT
        elif self._accepted % HALFWAY_EVERY == 0 and self.plan.after(0) >= LONG:
            run.manner = Manner.HALFWAY
        self._wait_for(run)

    def again(self, run: Run, at: float) -> None:
        """A look was not answered: repeat it at `at`."""
        run.not_before = at
        self._wait_for(run)

    def going_on(self, run: Run, age: float) -> None:
        """The run was still going on at this age in seconds."""
        run.alive_at = age
        run.not_before = 0.0
        self._news += 1
        self._wait_for(run)

    def over(self, run: Run) -> None:
        """The run is looked at no more."""
        self._scouts -= run.manner is Manner.SCOUT

    def ended(self, after: float, by: float) -> None:
        """A run was going on at the age `after` and had ended at the age `by`, in seconds."""
        self.durations.ended(after, by)
        self._waits.append(self.durations.waited(after, by))
        self._news += 1

    def median_wait(self) -> float | None:
        """Seconds between a run's end and its retrieval, as far as looks can tell."""
        return statistics.median(self._waits) if self._waits else None

    def heed(self, load: Load) -> None:
        """Learn, if there is news enough, and set every look that waits to its new time."""
        price = max(LEAST_PRICE, min(MOST_PRICE, load.seconds))
        enough = max(3.0, _NEWS * self.durations.seen)
        if self._news < enough and 1 / _PRICE_MOVE <= price / self._price <= _PRICE_MOVE:
            return
        runs = [run for _, _, run in self._waiting]
        self.durations.learn(run.alive_at for run in runs if run.alive_at)
        self._news = 0
        self._price = price
        self.tail = self.durations.quantile(_TAIL) * _TAIL_FACTOR
        self.plan = self._cheapest_plan(load)
        self._waiting.clear()
        for run in runs:
            self._wait_for(run)

    def _cheapest_plan(self, load: Load) -> LookPlan:
        """The plan for the price; a lower one where the limit could not be used otherwise.

        When all that may be in flight is in flight, slots are free, and so are looks.
        """
        price = self._price
        plan = self.durations.looks_for(price)
        if not load.to_come or self.durations.seen < SCOUTED:
            return plan
        while price > LEAST_PRICE and plan.most_rate(load.most_in_flight) < load.rate:
            price /= 2
            plan = self.durations.looks_for(price)
        return plan

    def _wait_for(self, run: Run) -> None:
        at = max(run.not_before, run.submitted_at + self._age_for(run))
        heapq.heappush(self._waiting, (at, next(self._order), run))

    def _age_for(self, run: Run) -> float:
        planned = self.plan.after(run.alive_at)
        match run.manner:
            case Manner.SCOUT:
                early = max(run.alive_at * _LADDER, run.alive_at + LEAST_INTERVAL)
            case Manner.HALFWAY if not run.alive_at:
                early = max(planned / 2, LEAST_INTERVAL)
            case _:
                return planned
        return min(planned, early)
