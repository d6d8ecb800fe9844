"""What to send next: recovered ids, then submissions while the window has room, then due looks.

Decides without I/O and without a clock of its own: `now` is given, in seconds of one monotonic
clock. The engine acts on what it returns.
"""

import heapq
import itertools
import math
import statistics
from collections import deque
from dataclasses import dataclass, field

from enricher.model import Item

FIRST_LOOK_AGE = 2.0
"""Seconds: the shortest polling interval the API asks for (BitScale API, 5.6)."""

LEAST_INTERVAL = 5.0
MOST_INTERVAL_AT_THE_END = 30.0
"""Seconds between two looks at one run; at the end slots are idle and a result is waited for."""

_FIRST_AGE = 20.0
_LEAST_AGE = FIRST_LOOK_AGE + 1.0
"""Seconds: no look succeeds before the first is due, however short the runs are; a second more for
the answers and the intents that stand prepared."""

_SHORTER, _LONGER = math.exp(-0.008), math.exp(0.39)
"""Steps that settle at the age at which 98 % of first looks succeed (0.39 / (0.39 + 0.008))."""

LEAST_WINDOW, MOST_WINDOW = 10, 1000
UNLIMITED_RATE = 1000.0
"""Requests a second that the arithmetic of window and caps assumes where no limit is set."""

LEAST_UNANSWERED = 4
_FIRST_ANSWER_TIME = 0.1
_ANSWERS_REMEMBERED = 64
SLOW_ANSWER = 3.0
"""Seconds; submitting pauses while the oldest unanswered submission has waited longer than this and
than five times the median: a hanging server costs a handful of doubts, not a window of them."""


@dataclass(slots=True)
class Run:
    """A run whose id is known. Times in seconds of the schedule's clock."""

    key: bytes
    run_id: str
    submitted_at: float
    stalled: bool = False
    looks: int = 0
    faults: int = 0


@dataclass(frozen=True, slots=True)
class Submit:
    item: Item


@dataclass(frozen=True, slots=True)
class Look:
    run: Run


@dataclass(slots=True)
class Schedule:
    """The queues of one job.

    Args:
        rate: requests a second that the gate allows; may be changed at any time.
    """

    rate: float
    recovered: deque[Run] = field(default_factory=deque)
    prepared: deque[Item] = field(default_factory=deque)
    feed_ended: bool = False
    one_at_a_time: bool = False
    _looks: list[tuple[float, int, Run]] = field(default_factory=list)
    _order: "itertools.count[int]" = field(default_factory=itertools.count)
    _open: set[bytes] = field(default_factory=set)
    _unanswered: dict[bytes, float] = field(default_factory=dict)
    _answer_times: deque[float] = field(
        default_factory=lambda: deque([_FIRST_ANSWER_TIME], maxlen=_ANSWERS_REMEMBERED)
    )
    _age: float = _FIRST_AGE

    # --- how much ----------------------------------------------------------------------------

    @property
    def window(self) -> int:
        """How many runs may be under way: half the slots of the time that a run takes."""
        return round(min(MOST_WINDOW, max(LEAST_WINDOW, self._rate / 2 * self._age)))

    @property
    def in_flight(self) -> int:
        """Items submitted (or about to be) and not ended."""
        return len(self._open)

    def room(self) -> int:
        """How many items may be prepared now: few, since a stop takes each of them back."""
        ahead = max(1, math.ceil(self._rate * 0.1)) - len(self.prepared)
        return min(ahead, self.window - len(self._open))

    @property
    def _rate(self) -> float:
        return min(self.rate, UNLIMITED_RATE)

    # --- what happened -----------------------------------------------------------------------

    def opened(self, key: bytes) -> None:
        """An item is being prepared, or a run of an earlier life was found."""
        self._open.add(key)

    def closed(self, key: bytes) -> None:
        """The item has ended, or was taken back."""
        self._open.discard(key)

    def sent(self, key: bytes, now: float) -> None:
        self._unanswered[key] = now

    def answered(self, key: bytes, now: float) -> None:
        """The submission of `key` is over; a failure is over too."""
        self._answer_times.append(now - self._unanswered.pop(key))

    def accepted(self, run: Run) -> None:
        """A submission was given an id: look at it when it is old enough."""
        self._look_at(run, run.submitted_at + FIRST_LOOK_AGE)

    def looked(self, run: Run, *, ended: bool, on: bool, now: float) -> None:
        """A look was answered: `ended` if the run has, `on` if it is to be looked at again."""
        run.looks += 1
        run.faults = 0
        if run.looks == 1:
            self._age *= _SHORTER if ended else _LONGER
            self._age = max(_LEAST_AGE, min(self._age, 2 * MOST_WINDOW / self._rate))
        if on:
            self._look_at(run, now + self._interval(now - run.submitted_at))

    def look_again(self, run: Run, at: float) -> None:
        """A look was not answered: repeat it at `at`."""
        self._look_at(run, at)

    def _interval(self, age: float) -> float:
        quarter = age / 4
        if self.feed_ended and not self.prepared:
            quarter = min(quarter, MOST_INTERVAL_AT_THE_END)
        return max(LEAST_INTERVAL, quarter)

    def _look_at(self, run: Run, at: float) -> None:
        heapq.heappush(self._looks, (at, next(self._order), run))

    # --- what next ---------------------------------------------------------------------------

    def next(self, now: float) -> Submit | Look | None:
        """Take the next request to send, or `None` if none is due."""
        if self.recovered:
            return Look(self.recovered.popleft())
        if self.prepared and self._may_submit(now):
            return Submit(self.prepared.popleft())
        if self._looks and self._looks[0][0] <= now:
            return Look(heapq.heappop(self._looks)[2])
        return None

    def is_due(self, now: float) -> bool:
        """Whether `next(now)` would give a request."""
        return bool(
            self.recovered
            or (self.prepared and self._may_submit(now))
            or (self._looks and self._looks[0][0] <= now)
        )

    def due_at(self) -> float:
        """When the next look is due; `math.inf` if there is none."""
        return self._looks[0][0] if self._looks else math.inf

    def _may_submit(self, now: float) -> bool:
        if not self._unanswered:
            return True
        if self.one_at_a_time:
            return False
        median = statistics.median(self._answer_times)
        if now - next(iter(self._unanswered.values())) > max(SLOW_ANSWER, 5 * median):
            return False
        return len(self._unanswered) < max(LEAST_UNANSWERED, 2 * self._rate * median)
