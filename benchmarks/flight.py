"""An engine with so many runs in flight, and no network: what `benchmarks.engine` weighs."""

import asyncio
import math
import tracemalloc
import uuid
from collections.abc import AsyncIterator, Sequence

from enricher.checkpoint import Committer, inline
from enricher.engine import Engine, Tools
from enricher.model import Credits, Inputs, Item, OnSent, RequestCounts, Stop, StopCode
from enricher.pace import Breaker, Gate
from enricher.providers.base import Ask, Briefing, Hold
from enricher.reactions import Refusals
from enricher.stops import Caps, Stops
from enricher.tally import RowTally, SeenRows
from enricher.verdicts import Accepted, Alive, Reply, StillRunning


async def bytes_in_use(in_flight: int) -> int:
    """The bytes that are in use when so many runs are waited for and nothing is under way."""
    tracemalloc.start()
    provider = _NeverDone(in_flight)
    tally = RowTally(in_flight)
    journal = Committer(lambda events: [True] * len(events), inline(lambda: 0.0), tally.hear)
    engine = Engine(
        Tools(
            provider=provider,
            gate=Gate(math.inf),
            breaker=Breaker(900),
            refusals=Refusals(answered=True),
            journal=journal,
            counts=RequestCounts(),
            run_timeout=7200,
            warn=lambda _: None,
            stops=Stops(Caps(), asyncio.get_running_loop().time()),
            most_in_flight=in_flight,
        )
    )

    async def feed() -> AsyncIterator[Sequence[Item]]:
        items = [_item(number) for number in range(in_flight)]
        tally.seen(SeenRows({}, [item.key for item in items]))
        yield items

    running = asyncio.create_task(engine.run(feed()))
    await provider.full.wait()
    await asyncio.sleep(0.1)  # less than until the first look
    used, _ = tracemalloc.get_traced_memory()
    engine.stop(Stop(StopCode.SIGNAL, "measured"))
    await running
    return used


class _NeverDone:
    """Accepts runs at once, none of which ever ends; `full` is set at the last of `expected`."""

    name = "never"
    holds = Hold.NONE
    hold = 0.0

    def __init__(self, expected: int) -> None:
        self._left = expected
        self.full = asyncio.Event()

    async def brief(self, ask: Ask) -> Briefing:
        raise NotImplementedError

    async def balance(self, ask: Ask) -> Credits | None:
        raise NotImplementedError

    async def submit(self, inputs: Inputs, on_sent: OnSent, *, hold: bool = False) -> Reply:
        on_sent()
        self._left -= 1
        if not self._left:
            self.full.set()
        return Reply(Accepted(str(uuid.uuid4())))

    async def look(self, run_id: str, on_sent: OnSent, *, stage: str = "") -> Reply:
        on_sent()
        return Reply(StillRunning())

    async def probe(self, on_sent: OnSent) -> Reply:
        on_sent()
        return Reply(Alive())

    async def rows(self, ask: Ask) -> int | None:
        return None

    async def aclose(self) -> None:
        pass


def _item(number: int) -> Item:
    inputs = {"company_name": f"Acme Corp {number}", "website": f"https://acme{number}.example.com"}
    return Item(uuid.uuid4().bytes, inputs)
