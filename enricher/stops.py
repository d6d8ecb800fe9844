"""When to submit nothing more: counts, credits and the clock. Pure; `now` is given.

A cap closes submitting only. What is paid is collected all the same: to its end, or for a minute
where the cap is about time or trouble.
"""

import math
from dataclasses import dataclass, field

from enricher.model import Limit, Spent, Stop, StopCode

COLLECT_FOR = 60.0
"""Seconds for which runs are still looked at after `--stop-after` and `--max-failures`."""

FREE_AFTER = 3
"""Completed runs that cost nothing until runs count as free."""

READ_EVERY = 50
"""Runs that end between two readings of the balance, while nothing is in the way."""


@dataclass(frozen=True, slots=True)
class Caps:
    """What a user allows for one invocation; `stop_after` in seconds, `max_credits` for a pass."""

    max_runs: float = math.inf
    max_credits: float = math.inf
    max_failures: Limit = field(default_factory=Limit)
    stop_after: float = math.inf


class Purse:
    """Credits that a pass has used, and may use.

    A rise of what the account has used counts, whoever caused it; a fall is a new billing period.
    What is in flight is reserved at the highest cost of a run seen so far; until one is known, runs
    go one at a time.

    Args:
        most: credits that the pass may use.
        spent: what earlier invocations of the pass found.
    """

    def __init__(self, most: float, spent: Spent) -> None:
        self._most = most
        self._spent = spent
        self._under_way = 0
        self._ended = 0
        self._completed = 0
        self._inherited = 0
        self._inherited_ended = 0

    @property
    def spent(self) -> Spent:
        return self._spent

    def opened(self) -> None:
        self._under_way += 1

    def closed(self, *, paid: bool, completed: bool = False) -> None:
        """A run ended, or (not `paid`) was never accepted."""
        self._under_way -= 1
        self._ended += paid
        self._completed += completed

    def inherited(self) -> None:
        """A run of an earlier invocation is under way, and may not be charged yet."""
        self._inherited += 1

    def inherited_ended(self) -> None:
        """It tells nothing of costs: it may have been charged when it was submitted."""
        self._inherited -= 1
        self._inherited_ended += 1

    def read(self, used: float) -> None:
        """The account has used so many credits in its billing period."""
        old = self._spent
        rise = used - old.used if used >= old.used else used
        highest = old.highest
        if self._ended:
            cost = rise / self._ended
            known = cost > 0 or highest is not None or old.free + self._completed >= FREE_AFTER
            highest = max(cost, highest or 0.0) if known else None
        free = old.free + (self._completed if rise == 0 else 0)
        self._spent = Spent(old.credits + rise, used, highest, free)
        self._ended = self._completed = self._inherited_ended = 0

    def allows_one_more(self) -> bool:
        if math.isinf(self._most):
            return True
        highest = self._spent.highest
        unsettled = self._going_on + self._unread
        if highest is None:
            return unsettled == 0 and self._spent.credits < self._most
        return self._spent.credits + (unsettled + 1) * highest <= self._most

    def wants_reading(self) -> bool:
        """Whether the balance may tell something new that matters."""
        if math.isinf(self._most) or not self._unread:
            return False
        blocked = not self.allows_one_more() and self._unread >= self._going_on / 4
        return blocked or self._unread >= READ_EVERY

    @property
    def _going_on(self) -> int:
        return self._under_way + self._inherited

    @property
    def _unread(self) -> int:
        return self._ended + self._inherited_ended


class Stops:
    """Whether one more submission is allowed, and if not, why and for how long to collect.

    Args:
        began: when the invocation began, by the clock of `now`.
    """

    def __init__(self, caps: Caps, began: float, spent: Spent | None = None) -> None:
        self._caps = caps
        self._deadline = began + caps.stop_after
        self.purse = Purse(caps.max_credits, spent or Spent())
        self._opened = 0
        self._ended = 0
        self._failed = 0
        self._last_failure = ""
        self._trouble_at = math.inf

    def opened(self) -> None:
        """A submission is being prepared."""
        self._opened += 1
        self.purse.opened()

    def inherited(self) -> None:
        """A run of an earlier invocation is under way."""
        self.purse.inherited()

    def given_back(self) -> None:
        """It was not sent, or refused unprocessed."""
        self._opened -= 1
        self.purse.closed(paid=False)

    def ended(self, now: float, *, paid: bool | None, failure: str | None) -> None:
        """A run ended.

        Args:
            paid: whether it may have been paid in this invocation (else the provider refused the
                submission); `None` if it was submitted in an earlier one.
            failure: its error, `None` if it completed.
        """
        self._ended += 1
        self._opened -= paid is False
        self._settle(paid, completed=failure is None)
        if failure is not None:
            self._failed += 1
            self._last_failure = failure
        if self._caps.max_failures.reached(self._failed, self._ended):
            self._trouble_at = min(self._trouble_at, now)

    def left(self, *, paid: bool | None) -> None:
        """A run goes on, and is looked at no more in this invocation."""
        self._settle(paid)

    def _settle(self, paid: bool | None, *, completed: bool = False) -> None:
        if paid is None:
            self.purse.inherited_ended()
        else:
            self.purse.closed(paid=paid, completed=completed)

    def lost(self) -> None:
        """The answer to a submission is lost: it may have been paid."""
        self.purse.closed(paid=True)

    def why(self, now: float) -> Stop | None:
        """Why nothing more may be submitted now; `None` if it may."""
        if now >= self._trouble_at:
            return Stop(
                StopCode.MAX_FAILURES,
                f"{self._failed} of {self._ended} runs failed; the last: {self._last_failure}",
            )
        if now >= self._deadline:
            return Stop(StopCode.STOP_AFTER, "the time of --stop-after is up")
        if self._opened >= self._caps.max_runs:
            return Stop(StopCode.MAX_RUNS, f"{self._opened:g} submissions, as --max-runs allows")
        if not self.purse.allows_one_more():
            spent = self.purse.spent.credits
            return Stop(
                StopCode.MAX_CREDITS,
                f"{spent:g} credits used in this pass; one more run could pass --max-credits"
                f" {self._caps.max_credits:g}",
            )
        return None

    def is_closed(self, now: float) -> bool:
        """Whether what is prepared may not be sent any more either."""
        return now >= min(self._trouble_at, self._deadline)

    def collects_until(self) -> float:
        """When to look at nothing more; `math.inf` where it is collected to the end."""
        return min(self._trouble_at, self._deadline) + COLLECT_FOR

    def next_change(self, now: float) -> float:
        """When the clock alone changes an answer of this object."""
        return min(
            (at for at in (self._deadline, self.collects_until()) if at > now), default=math.inf
        )
