"""One life of a job without files: the real engine, provider and checkpoint in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enricher.checkpoint import Committer, JobSpec, Reader, Store, inline
from enricher.engine import Engine, Tools
from enricher.mapping import KeyMaker
from enricher.model import (
    Context,
    Inputs,
    Item,
    Mode,
    Recovered,
    RequestCounts,
    Spent,
    State,
    Stop,
)
from enricher.pace import Breaker, Gate
from enricher.providers.base import Provider
from enricher.providers.bitscale import BitScale, Target
from enricher.providers.keys import ApiKey
from enricher.providers.transport import Transport
from enricher.reactions import Refusals
from enricher.record import Record
from enricher.schedule import MOST_IN_FLIGHT
from enricher.simulator import GRIDS, Settings, Workspace, bodies
from enricher.stops import Caps, Stops
from tests.support.canary import KEY
from tests.support.network import BASE_URL, SimulatedNetwork

GRID = GRIDS[0]
CONTEXT = Context("bitscale", "http://simulator", "ws", GRID.id)


@dataclass
class World:
    """A simulated workspace, a network to it, and a checkpoint on disk."""

    folder: Path
    settings: Settings = field(default_factory=lambda: Settings(api_key=KEY))
    rate: float = 5.0
    commit: float = 0.005
    follow: bool = False
    run_timeout: float = 7200.0
    patience: float = 900.0
    mode: Mode = Mode.ASYNC
    most_in_flight: int = MOST_IN_FLIGHT
    grid: str = GRID.id
    key_file: Path | None = None
    caps: Caps = field(default_factory=Caps)
    warnings: list[str] = field(default_factory=list)
    spent: Spent | None = None
    base_url: str = BASE_URL

    def __post_init__(self) -> None:
        self.workspace = Workspace(self.settings, BASE_URL)
        self.network = SimulatedNetwork(self.workspace)
        self.checkpoint = self.folder / "job.checkpoint.db"
        self.counts = RequestCounts()
        self.engine: Engine | None = None

    async def live(
        self,
        inputs: Iterable[Inputs],
        *,
        during: Callable[[Engine], Any] = lambda _: None,
    ) -> Stop | None:
        """Work `inputs` off, or go on with what an earlier life left; as `api` does it."""
        async with AsyncExitStack() as held:
            return await self._live(inputs, during, held)

    async def _live(
        self,
        inputs: Iterable[Inputs],
        during: Callable[[Engine], Any],
        held: AsyncExitStack,
    ) -> Stop | None:
        store = Store.open(self.checkpoint, clock=lambda: 1e9 + asyncio.get_running_loop().time())
        held.callback(store.close)
        store.begin(JobSpec("job", CONTEXT))
        reader = held.enter_context(Reader(self.checkpoint))
        journal = Committer(store.apply, inline(lambda: self.commit))
        transport = Transport(self.base_url, network=self.network)
        held.push_async_callback(transport.aclose)
        held.push_async_callback(journal.close)
        self.counts = RequestCounts()
        self.engine = Engine(
            Tools(
                provider=self.provider(transport),
                gate=Gate(self.rate, follow=self.follow, warn=self.warnings.append),
                breaker=Breaker(self.patience),
                refusals=Refusals(answered=reader.pass_has_answers("job")),
                journal=journal,
                counts=self.counts,
                run_timeout=self.run_timeout,
                warn=self.warnings.append,
                stops=self._stops(),
                spent=self._keep_spent,
                mode=self.mode,
                most_in_flight=self.most_in_flight,
            )
        )
        during(self.engine)
        return await self.engine.run(_feed(items_of(inputs)), self._recovered(reader))

    def provider(self, transport: Transport) -> Provider:
        environ = {"BITSCALE_API_KEY": self.workspace.api_key}
        key = ApiKey("BITSCALE_API_KEY", self.key_file, environ)
        return BitScale(transport, key, Target(self.grid))

    @property
    def used(self) -> float:
        """The credits that the workspace has used by now."""
        credits: Any = bodies.workspace(self.settings, len(self.workspace.runs))["credits"]
        return float(credits["used"])

    def _stops(self) -> Stops:
        spent = self.spent or Spent(used=self.used)
        stops = Stops(self.caps, asyncio.get_running_loop().time(), spent)
        stops.purse.read(self.used)
        self._keep_spent(stops.purse.spent)
        return stops

    def _keep_spent(self, spent: Spent) -> None:
        self.spent = spent

    def _recovered(self, reader: Reader) -> list[Recovered]:
        now = 1e9 + asyncio.get_running_loop().time()
        found = reader.unfinished(CONTEXT, State.RUNNING, State.STALLED)
        return [
            Recovered(f.key, f.run_id, max(0.0, now - f.submitted_at), f.state is State.STALLED)
            for f in found
        ]

    def record(self, inputs: Inputs) -> Record | None:
        """What the checkpoint holds for `inputs`."""
        return self.records([inputs])[0]

    def records(self, inputs: Iterable[Inputs]) -> list[Record | None]:
        items = items_of(inputs)
        with Reader(self.checkpoint) as reader:
            found = reader.records([item.key for item in items], outputs=True)
        return [found.get(item.key) for item in items]


def items_of(inputs: Iterable[Inputs]) -> list[Item]:
    keys = KeyMaker(CONTEXT, GRID.labels)
    return [Item(keys.key(one), one) for one in inputs]


def companies(count: int) -> list[dict[str, str]]:
    """Inputs of so many different companies."""
    return [{"company_name": f"Company {n}", "website": f"c{n}.example"} for n in range(count)]


async def _feed(items: Sequence[Item]) -> AsyncIterator[Sequence[Item]]:
    for start in range(0, len(items), 10):
        yield items[start : start + 10]
