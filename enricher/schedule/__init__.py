"""What to send next: recovered ids, then the looks that are due, then submissions.

Near the end of a job submissions go before looks: the last run is what everyone waits for.

Decides without I/O and without a clock of its own: `now` is given, in seconds of one monotonic
clock. The engine acts on what it returns.
"""

import math
import statistics
from collections import Counter, deque
from dataclasses import dataclass, field

from enricher.model import Item
from enricher.schedule.looks import SCOUTED, Load, Looks, Run
from enricher.schedule.mode import Estimate, estimate, holding_pays

__all__ = ["Estimate", "Look", "Run", "Schedule", "Submit"]

MOST_IN_FLIGHT = 1000
UNLIMITED_RATE = 1000.0
"""Requests a second that prices and caps assume where no limit is set."""

SCARCE = 0.9
"""The share of the window from which on it is scarce."""

_KNOWN = 30
_FIRST_TAIL = 20.0
"""Seconds that the slowest runs are taken to last until so many durations are known."""

LEAST_UNANSWERED, LEAST_HELD = 4, 10
_FIRST_ANSWER_TIME = 0.1
_ANSWERS_REMEMBERED = 64
SLOW_ANSWER = 3.0
"""Seconds; submitting pauses while the oldest unanswered submission has waited longer than this and
than five times the median: a hanging server costs a handful of doubts, not a window of them. One
that a later submission has overtaken is lost alone, and few of these hold up nothing."""

OVERTAKEN = 2.0
"""Seconds of the limit: so many submissions may be late and overtaken, and no more is sent then."""


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
        most_in_flight: runs that may be under way at once.
        hold: seconds for which the provider holds a submission; 0 if it does not.
        holding: whether submissions are held until their run has ended.
        to_come: items that are still to be prepared; `math.inf` while nobody knows.
        submitting: whether what is prepared may be submitted.
    """

    rate: float
    most_in_flight: int = MOST_IN_FLIGHT
    hold: float = 0.0
    holding: bool = False
    to_come: float = math.inf
    submitting: bool = True
    recovered: deque[Run] = field(default_factory=deque)
    _at_once: deque[Run] = field(default_factory=deque)
    prepared: deque[Item] = field(default_factory=deque)
    one_at_a_time: bool = False
    _looked_last: bool = False
    _looks: Looks = field(default_factory=Looks)
    _open: Counter[bytes] = field(default_factory=Counter)
    _unanswered: dict[bytes, float] = field(default_factory=dict)
    _newest_answered: float = -math.inf
    _answer_times: deque[float] = field(
        default_factory=lambda: deque([_FIRST_ANSWER_TIME], maxlen=_ANSWERS_REMEMBERED)
    )

    # --- how much ----------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Items submitted (or about to be) and not ended."""
        return len(self._open)

    def room(self, lead: float) -> int:
        """How many items may be prepared now: few, since a stop takes each of them back.

        Args:
            lead: seconds for which they are to last.
        """
        ahead = max(1, math.ceil(self._rate * lead)) - len(self.prepared)
        return min(ahead, self.most_in_flight - len(self._open))

    def estimate(self, to_come: int) -> Estimate | None:
        """What is left, with `to_come` items to submit; `None` until enough runs have ended."""
        if self._looks.durations.seen < SCOUTED:
            return None
        return estimate(self._looks, self._load(to_come), self.hold if self.holding else 0.0)

    def median_wait(self) -> float | None:
        """Seconds between a run's end and its retrieval, as far as looks can tell."""
        return self._looks.median_wait()

    def holding_pays(self) -> bool:
        """Whether the job would clearly end sooner if submissions were held."""
        known = self._looks.durations.seen >= _KNOWN
        return known and holding_pays(self._looks, self._load(self.to_come), self.hold)

    def _load(self, to_come: float) -> Load:
        return Load(self._rate, self.most_in_flight, len(self._open), to_come)

    @property
    def _rate(self) -> float:
        return min(self.rate, UNLIMITED_RATE)

    # --- what happened -----------------------------------------------------------------------

    def opened(self, key: bytes) -> None:
        """An item is being prepared, or a run of an earlier life was found.

        Equal rows are prepared one by one, and all but the first are closed at once.
        """
        self._open[key] += 1

    def closed(self, key: bytes) -> None:
        """The item has ended, or was taken back."""
        self._open[key] -= 1
        if self._open[key] <= 0:
            del self._open[key]

    def expect(self, to_come: float) -> None:
        """So many items are still to be prepared: the fewer are left, the less a look costs."""
        if to_come != self.to_come:
            self.to_come = to_come
            self._heed()

    def sent(self, key: bytes, now: float) -> None:
        self._unanswered[key] = now

    def answered(self, key: bytes, now: float, *, usable: bool = True) -> None:
        """The submission of `key` is over.

        Only a usable answer tells how long answers take: a hanging server, learnt from, would be
        trusted with ever more submissions.
        """
        sent_at = self._unanswered.pop(key)
        if usable:
            self._newest_answered = max(self._newest_answered, sent_at)
            self._answer_times.append(now - sent_at)

    def held(self, seconds: float) -> None:
        """A held submission brought its result after so long."""
        self._looks.ended(seconds, seconds)
        self._heed()

    def accepted(self, run: Run) -> None:
        """A submission was given an id: look at it when it is old enough."""
        self._looks.add(run)
        self._heed()

    def waited_for(self, run: Run, stage: str) -> None:
        """A submission was given an id: a look that is held until the run has ended comes next."""
        run.stage, run.held = stage, True
        self.look_first(run)

    def look_first(self, run: Run) -> None:
        """Look at the run before anything else."""
        self._at_once.append(run)

    def ready(self, run: Run, stage: str, now: float) -> None:
        """The run has ended: a look of this stage fetches its result, before anything else."""
        if not run.ended:  # else its result could not be fetched the last time
            self._looks.ended(run.alive_at, now - run.submitted_at)
        run.stage, run.held, run.ended = stage, False, True
        self.look_first(run)
        self._heed()

    def looked(self, run: Run, *, ended: bool, on: bool, now: float) -> None:
        """A look was answered: `ended` if the run has, `on` if it is to be looked at again."""
        run.faults = 0
        age = now - run.submitted_at
        if ended:
            self._looks.ended(run.alive_at, age)
        if on:
            self._looks.going_on(run, age)
        else:
            self._looks.over(run)
        self._heed()

    def look_again(self, run: Run, at: float) -> None:
        """A look was not answered: repeat it at `at`."""
        self._looks.again(run, at)

    def _heed(self) -> None:
        self._looks.heed(self._load(self.to_come))

    # --- what next ---------------------------------------------------------------------------

    def next(self, now: float) -> Submit | Look | None:
        """Take the next request to send, or `None` if none is due."""
        for first in (self._at_once, self.recovered):
            if first:
                return Look(first.popleft())
        if self.submits_next(now) and self._may_submit(now):
            self._looked_last = False
            return Submit(self.prepared.popleft())
        if self.due_at() > now:
            return None
        self._looked_last = True
        return Look(self._looks.pop())

    def submits_next(self, at: float) -> bool:
        """Whether a submission would be sent at the time `at`, if one were prepared."""
        looks = self._looks.due_at() <= at and not self._is_near_the_end()
        first = self.recovered or self._at_once
        return not first and (not looks or self._is_turn_of_submissions())

    def is_due(self, now: float) -> bool:
        """Whether `next(now)` would give a request."""
        first = bool(self.recovered or self._at_once)
        return first or self.due_at() <= now or self._may_submit(now)

    def due_at(self) -> float:
        """When the next look is due; `math.inf` if there is none.

        While the window is full, nothing but looks can use the limit: they come early.
        """
        only_looks = self.to_come and not self.prepared and self._is_full(1.0)
        return self._looks.early_at() if only_looks else self._looks.due_at()

    def _is_turn_of_submissions(self) -> bool:
        """Where the window is scarce, submissions and looks take turns.

        Else runs that are submitted in a row come due in a row: two waves, and between them slots
        that nothing can use.
        """
        return self._looked_last and self._is_full(SCARCE)

    def _is_full(self, share: float) -> bool:
        return len(self._open) >= share * self.most_in_flight

    def _is_near_the_end(self) -> bool:
        """Whether the slowest runs take as long as all that is left to send."""
        known = self._looks.durations.seen >= _KNOWN
        tail = self._looks.tail if known else _FIRST_TAIL
        return self._load(self.to_come).seconds <= tail

    def _may_submit(self, now: float) -> bool:
        if not self.prepared or not self.submitting:
            return False
        if not self._unanswered:
            return True
        if self.one_at_a_time:
            return False
        if self.holding:
            return len(self._unanswered) < self._most_held()
        return self._is_answering(now)

    def _is_answering(self, now: float) -> bool:
        """Whether the server seems to answer what it is given."""
        median = statistics.median(self._answer_times)
        slow = max(SLOW_ANSWER, 5 * median)
        late = [at for at in self._unanswered.values() if now - at > slow]
        if any(at > self._newest_answered for at in late):
            return False
        if len(late) >= max(LEAST_UNANSWERED, OVERTAKEN * self._rate):
            return False
        return len(self._unanswered) - len(late) < max(LEAST_UNANSWERED, 2 * self._rate * median)

    def _most_held(self) -> float:
        """Few until answers come: each is in doubt if the server never gives one."""
        durations = self._looks.durations
        if durations.seen < SCOUTED:
            return LEAST_HELD + 2 * durations.seen
        return max(LEAST_HELD, 2 * self._rate * durations.mean_within(self.hold))
