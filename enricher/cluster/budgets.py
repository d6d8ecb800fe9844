"""The budgets that a scheduler holds: those of its host, one taker for each attempt at a shard."""

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from enricher.budget import BudgetAway, BudgetBroken, Said
from enricher.limiter import budget_name
from enricher.limiter.host import HostBudget, file_of


class Budgets:
    """Budgets by name; `alone` holds one for a job, which nobody else on the host knows.

    The workers have no other limit than these, so one that cannot be kept in the user's folder is
    kept in a folder for the time being, and one that cannot be kept at all gives nothing.

    Args:
        clock: seconds that all processes of the host count alike.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[tuple[str, str], HostBudget] = {}
        self._spare: Path | None = None

    async def exchange(self, attempt: str, name: str, alone: str, said: Said) -> dict[str, Any]:
        """One exchange for `attempt`: `away` says why there is none, else what a budget answers."""
        try:
            budget = self._open.get((attempt, name)) or self._opened(attempt, name, alone)
            return asdict(await budget.exchange(said))
        except BudgetBroken as broken:
            self._open.pop((attempt, name), None)
            return {"away": f"{broken} at the scheduler"}
        except BudgetAway as away:
            return {"away": f"{away} at the scheduler"}

    async def leave(self, attempt: str) -> None:
        """The attempt wants nothing more of any of them."""
        for key in [key for key in self._open if key[0] == attempt]:
            await self._open.pop(key).aclose()

    def _opened(self, attempt: str, name: str, alone: str) -> HostBudget:
        known = budget_name(name, alone, "") if alone else name
        with suppress(BudgetBroken):
            self._open[attempt, name] = HostBudget(file_of(known), self._clock)
            return self._open[attempt, name]
        self._spare = self._spare or Path(tempfile.mkdtemp(prefix="enricher-"))
        self._open[attempt, name] = HostBudget(self._spare / f"{known}.db", self._clock)
        return self._open[attempt, name]
