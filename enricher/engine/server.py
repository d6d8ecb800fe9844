"""What is learnt of the server from its answers, and what that means for the whole job."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from enricher.errors import ServerGone, Superseded
from enricher.model import Journal, Mode, RequestCounts, Spent, Stop, StopCode, Warn
from enricher.notice import EventName, Notice, event_of
from enricher.pace import Breaker, Permit, Permits
from enricher.providers.base import Target
from enricher.reactions import Reaction, Refusals, said_to_everyone
from enricher.schedule import MOST_IN_FLIGHT
from enricher.stops import Stops
from enricher.verdicts import Alive, Faults, NotSent, Refused, Reply, SaidToEveryone

Served = TypeVar("Served", bound=Target, covariant=True)


@dataclass(frozen=True, slots=True)
class Tools(Generic[Served]):
    """What an engine works with.

    Attributes:
        run_timeout: seconds since a submission after which a run is given up.
        most_in_flight: runs that may be under way at once.
        warn: told each thing that a person should know, once.
        spent: told what the pass has used, whenever that was read.
    """

    provider: Served
    gate: Permits
    breaker: Breaker
    refusals: Refusals
    journal: Journal
    counts: RequestCounts
    run_timeout: float
    warn: Warn
    stops: Stops
    mode: Mode = Mode.ASYNC
    most_in_flight: int = MOST_IN_FLIGHT
    spent: Callable[[Spent], None] = lambda _: None


class Server:
    """Tells gate, breaker and purse of each answer.

    Args:
        stop: called when the job has to stop.
    """

    def __init__(self, tools: Tools[Target], stop: Callable[[Stop], None]) -> None:
        self._tools = tools
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._warned: set[str] = set()
        self._probing = False

    async def permission(self) -> Permit | None:
        """Wait until one request may leave; `None` if the job stops, since nobody can allow it."""
        try:
            return await self._tools.gate.acquire()
        except ServerGone as gone:
            self._stop(Stop(StopCode.SERVER_GONE, gone.message))
        except Superseded as taken:
            self._stop(Stop(StopCode.SUPERSEDED, taken.message))
        return None

    def learn(self, kind: str, reply: Reply, sent_at: float) -> None:
        """An answer came to a request of this kind ("submit" or "look")."""
        self._tools.counts.rate_limited += reply.signal.limited
        self._tools.gate.observe(reply.signal, sent_at)
        breaker = self._tools.breaker
        if isinstance(reply.verdict, Faults):
            was_open = breaker.is_open
            breaker.fault(kind, self._loop.time())
            if breaker.is_open and not was_open:
                self.tell(
                    EventName.BREAKER_OPENED,
                    f"the server has trouble ({reply.verdict.reason}): nothing more is submitted"
                    " until it answers a probe",
                )
        elif not isinstance(reply.verdict, Refused):
            breaker.answered(kind)

    def heed(self, reaction: Reaction) -> None:
        """Tell what a person should know, and stop the job if it has to."""
        if reaction.note:
            self.tell(event_of(reaction.note), reaction.note)
        if reaction.stop:
            self._stop(reaction.stop)

    def tell(self, event: EventName, text: str) -> None:
        """Tell a person, once."""
        if text not in self._warned:
            self._warned.add(text)
            self._tools.warn(Notice(event, text))

    # --- probes ------------------------------------------------------------------------------

    def wants_probe(self) -> bool:
        """Whether the next request must be a probe: to see whether it is there, or what is used."""
        reading = self._tools.stops.purse.wants_reading() and not self._probing
        return self._tools.breaker.is_open or reading

    def probe_is_due(self) -> bool:
        return not self._probing and self._loop.time() >= self._tools.breaker.probe_due_at

    def probe_due_at(self) -> float:
        """When the next probe may be sent; `math.inf` while one is under way."""
        return math.inf if self._probing else self._tools.breaker.probe_due_at

    def probe(self, permit: Permit) -> Coroutine[Any, Any, None] | None:
        """Ask whether the server is there, and what the account has used; one at a time."""
        if self._probing:
            permit.close()
            return None
        self._probing = True
        return self._probe(self._loop.time(), permit)

    async def _probe(self, sent_at: float, permit: Permit) -> None:
        try:
            reply = await self._tools.provider.probe(permit.sent)
        finally:
            permit.close()
            self._probing = False
        self._tools.counts.other += not isinstance(reply.verdict, NotSent)
        self._tools.gate.observe(reply.signal, sent_at)
        if self._tools.breaker.is_open:
            alive = not isinstance(reply.verdict, Faults)
            self._tools.breaker.probed(alive, self._loop.time())
            if alive:
                self.tell(EventName.BREAKER_CLOSED, "the server answers again: going on")
        elif isinstance(reply.verdict, Faults):
            self._tools.breaker.fault("look", self._loop.time())
        match reply.verdict:
            case Alive(credits) if credits is not None:
                self._tools.stops.purse.read(credits.used)
                self._tools.spent(self._tools.stops.purse.spent)
            case Alive() if self._tools.stops.purse.wants_reading():
                self._stop(
                    Stop(
                        StopCode.REFUSED,
                        "the provider tells its credits no more: --max-credits cannot be kept",
                    )
                )
            case verdict if isinstance(verdict, SaidToEveryone):
                self.heed(said_to_everyone(verdict))
