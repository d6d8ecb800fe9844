"""What a job meets of the world around it. A simulation gives it another one."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from enricher.budget import Budget
from enricher.checkpoint import Apply, Store
from enricher.providers.transport import NetworkBackend


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment by the wall clock, and by the one that never jumps."""

    wall: float
    steady: float


OpenBudget = Callable[[str, str, Mapping[str, str]], Budget | None]
"""Limiter, name and environment to a budget."""


def alone(*_: object) -> None:
    """No budget: the process keeps its limit alone."""


Through = Callable[[Store], Apply]
"""What writes groups of events to a checkpoint, and to where else they must be."""


def directly(store: Store) -> Apply:
    """To the checkpoint, and nowhere else."""
    return store.apply


@dataclass(frozen=True, slots=True)
class Outside:
    """The real world, unless told otherwise.

    Attributes:
        clock: the wall clock, in seconds since 1970.
        network: what stands below HTTP; `None` for sockets.
        budget: opens a limit that is shared (see `limits.open_budget`); `None` for the real ones.
        through: what events go through on their way to the checkpoint.
    """

    clock: Callable[[], float] = time.time
    network: NetworkBackend | None = None
    budget: OpenBudget | None = None
    through: Through = directly

    def now(self) -> Moment:
        """This moment; the event loop must be running."""
        return Moment(self.clock(), asyncio.get_running_loop().time())


REAL = Outside()
