"""What ties an attempt at a shard to the scheduler: permissions come by it, and stops."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from enricher.budget import Budget, BudgetAway, Heard, Said
from enricher.cluster.ledger import Orders
from enricher.errors import Superseded

SUPERSEDED = "another worker has taken this shard over: this one submits nothing more"

Say = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""A verb of the `Office` and what it takes to what that answers; raises `BudgetAway`."""


class Rope:
    """The connection of one attempt; `begin` comes first.

    Args:
        job: what the scheduler knows the job by.
    """

    def __init__(self, say: Say, job: str, shard: int) -> None:
        self._tell = say
        self._who: dict[str, Any] = {"job": job, "shard": shard}

    async def begin(self, worker: str) -> Orders:
        """Become the newest attempt at the shard.

        Raises:
            BudgetAway: the scheduler does not answer.
        """
        told = await self._say("begin", worker=worker)
        self._who["attempt"] = told["attempt"]
        return Orders(**told["orders"])

    async def beat(self, summary: Mapping[str, Any] | None, lines: list[list[str]]) -> Orders:
        """Tell how it goes, and hear whether to go on.

        Raises:
            BudgetAway: the scheduler does not answer.
        """
        return Orders(**await self._say("beat", summary=summary, lines=lines))

    async def end(self) -> None:
        """It is over, one way or the other."""
        await self._say("end")

    async def exchange(self, name: str, alone: bool, said: Said) -> Mapping[str, Any]:
        """An exchange with a budget of the scheduler; see `Budget.exchange`.

        Raises:
            Superseded: another attempt has the shard.
        """
        heard: Mapping[str, Any] = await self._say(
            "exchange", name=name, alone=alone, said=asdict(said)
        )
        if heard.get("stale"):
            raise Superseded(SUPERSEDED)
        if why := heard.get("away"):
            raise BudgetAway(str(why))
        return heard

    async def check(self) -> None:
        """Raise `Superseded` if another attempt has the shard, `BudgetAway` if nobody knows."""
        if not await self._say("allowed"):
            raise Superseded(SUPERSEDED)

    async def _say(self, verb: str, **told: Any) -> Any:
        return await self._tell(verb, {**self._who, **told})


class SchedulerBudget:
    """A budget that the scheduler holds; which attempt asks is seen in the same step."""

    def __init__(self, rope: Rope, name: str, *, alone: bool) -> None:
        self._rope = rope
        self._name = name
        self._alone = alone

    async def exchange(self, said: Said) -> Heard:
        """See `Budget`. That the shards of a job share it is nothing to be told.

        Raises:
            Superseded: another attempt has the shard.
        """
        heard = await self._rope.exchange(self._name, self._alone, said)
        return Heard(list(heard["places"]), float(heard["wait"]), int(heard["used"]))

    async def aclose(self) -> None:
        """The scheduler hears of the end by `Rope.end`."""


class FencedBudget:
    """A budget that is kept elsewhere, asked for places only while the attempt is the newest."""

    def __init__(self, rope: Rope, budget: Budget) -> None:
        self._rope = rope
        self._budget = budget

    async def exchange(self, said: Said) -> Heard:
        """See `Budget`.

        Raises:
            Superseded: another attempt has the shard.
        """
        if said.want:
            await self._rope.check()
        heard = await self._budget.exchange(said)
        return Heard(heard.places, heard.wait, heard.used)

    async def aclose(self) -> None:
        await self._budget.aclose()
