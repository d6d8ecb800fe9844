"""One rate limit that several processes keep together: what is said, and what is heard.

A *place* is the right to send one request. It is held from the moment at which it is given until a
second (and a margin) after the request left, so that there are never more than N of them. Whoever
waits stands in a queue. All times are relative, in seconds: no clock is shared but the budget's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

LEASE = 5.0
"""Seconds after which a place that its holder has not renewed counts as used: it may have died."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one process tells of itself, and what it asks for.

    Attributes:
        rate: requests a second, finite; `vague` if nobody has told it yet.
        margin: seconds beyond a second for which a place stays taken.
        sent: places whose requests have left, each with how long ago.
        unused: places whose requests will not leave.
        held: places whose requests may leave at any moment.
        pause: seconds for which nobody may send; 0 for none.
        want: places wanted.
        enter: take them now if they are free; else only stand in the queue.
    """

    rate: float
    margin: float
    vague: bool = False
    sent: Sequence[tuple[int, float]] = ()
    unused: Sequence[int] = ()
    held: Sequence[int] = ()
    pause: float = 0.0
    want: int = 0
    enter: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """What the budget answers.

    Attributes:
        places: what was given, at most what was wanted.
        wait: seconds until it is worth to ask again, if nothing was given.
        used: places that are taken by now, of all processes.
        shared: whether another process was given a place since this one began.
    """

    places: Sequence[int] = ()
    wait: float = 0.0
    used: int = 0
    shared: bool = False


class Budget(Protocol):
    """A limit that is kept outside of this process."""

    async def exchange(self, said: Said) -> Heard:
        """Tell and ask, as one step that others see whole or not at all.

        Raises:
            BudgetBroken: there is no such budget any more; this process must keep its own limit.
            BudgetAway: it cannot be reached now, and nothing may be sent without it.
            Superseded: this process gets nothing any more, since another one has its work.
        """

    async def aclose(self) -> None:
        """Leave: this process wants nothing more. Raises nothing."""


class BudgetBroken(Exception):
    """It cannot be kept there; the argument says why, for people."""


class BudgetAway(Exception):
    """It does not answer now; the argument says why, for people."""
