"""How few requests and how little time a list needs, for runs of different lengths.

    python -m benchmarks.polls                     2,000 runs at 5 requests/s, some seconds each
    python -m benchmarks.polls --rows 500 --seeds 5

The real engine, schedule and gate run in virtual time against a provider whose runs last as their
distribution says; a request takes 50 ms. Beside them stand two pools of workers as they are
commonly written (submit, then ask every 2 s until done) behind the same gate, and a clairvoyant who
knows every duration: it submits everything first, then asks for each run once, after its end.

requests    a run; 2 is one submission and one look
delay       median seconds between a run's end and its retrieval
makespan    seconds until the last result, and its ratio to the clairvoyant's
"""

import argparse
import asyncio
import math
import random
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from enricher.engine import Engine, Tools
from enricher.model import Credits, Event, Inputs, Item, Mode, OnSent, RequestCounts
from enricher.pace import Breaker, Gate, Permits
from enricher.providers.base import Ask, Briefing, Hold
from enricher.reactions import Refusals
from enricher.simulator import parse_duration
from enricher.simulator.durations import Duration
from enricher.stops import Caps, Stops
from enricher.verdicts import Accepted, Alive, Done, Reply, StillRunning
from tests.support import virtual

DISTRIBUTIONS = (
    "constant:3",
    "lognormal:20",
    "lognormal:90",
    "bimodal:4:120",
)
ANSWER_TIME = 0.05
COMMIT_TIME = 0.005
FIXED_POLL = 2.0


@dataclass
class Timed:
    """A provider whose runs last as told; it counts, and knows when each result was fetched."""

    durations: Sequence[float]
    name: str = "timed"
    holds: Hold = Hold.SUBMIT
    hold: float = 120.0
    requests: int = 0
    ends: dict[str, float] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)

    async def submit(self, inputs: Inputs, on_sent: OnSent, *, hold: bool = False) -> Reply:
        self._count(on_sent)
        run_id = inputs["row"]
        duration = self.durations[int(run_id)]
        self.ends[run_id] = _now() + duration
        if hold and duration <= self.hold:
            await asyncio.sleep(duration + ANSWER_TIME)
            return self._done(run_id)
        await asyncio.sleep(ANSWER_TIME + (self.hold if hold else 0.0))
        return Reply(Accepted(run_id))

    async def look(self, run_id: str, on_sent: OnSent, *, stage: str = "") -> Reply:
        self._count(on_sent)
        await asyncio.sleep(ANSWER_TIME)
        return self._done(run_id) if self.ends[run_id] <= _now() else Reply(StillRunning())

    def _done(self, run_id: str) -> Reply:
        self.delays.append(_now() - self.ends[run_id])
        return Reply(Done({}, {}))

    def _count(self, on_sent: OnSent) -> None:
        on_sent()
        self.requests += 1

    async def probe(self, on_sent: OnSent) -> Reply:
        self._count(on_sent)
        return Reply(Alive())

    async def brief(self, ask: Ask) -> Briefing:
        raise NotImplementedError("the benchmark asks nothing before")

    async def balance(self, ask: Ask) -> Credits | None:
        return None

    async def rows(self, ask: Ask) -> int | None:
        return None

    async def aclose(self) -> None:
        """It has no connections."""


class Memory:
    """A journal that takes as long as a disk, and keeps nothing."""

    async def write(self, event: Event) -> bool:
        await asyncio.sleep(COMMIT_TIME)
        return True

    def post(self, event: Event) -> None:
        """Nothing waits for it."""


def _now() -> float:
    return asyncio.get_running_loop().time()


# --- the ways to work a list off --------------------------------------------------------------

Way = Callable[[Timed, float], Awaitable[None]]


def enricher_in(mode: Mode) -> Way:
    """The engine of this project."""

    async def work(provider: Timed, rate: float) -> None:
        tools = Tools(
            provider=provider,
            gate=Gate(rate),
            breaker=Breaker(900.0),
            refusals=Refusals(answered=True),
            journal=Memory(),
            counts=RequestCounts(),
            run_timeout=math.inf,
            warn=lambda _: None,
            stops=Stops(Caps(), 0.0),
            mode=mode,
        )
        await Engine(tools).run(_feed(len(provider.durations)))

    return work


async def _feed(rows: int) -> AsyncIterator[Sequence[Item]]:
    for start in range(0, rows, 500):
        yield [_item(n) for n in range(start, min(start + 500, rows))]


def _item(row: int) -> Item:
    return Item(row.to_bytes(16), {"row": str(row)})


def pool_of(workers: int) -> Way:
    """Workers that submit a row and ask every two seconds until it is done."""

    async def work(provider: Timed, rate: float) -> None:
        gate = Gate(rate)
        rows = iter(range(len(provider.durations)))

        async def worker() -> None:
            for row in rows:
                reply = await _paced(gate, partial(provider.submit, _inputs(row)))
                while not isinstance(reply.verdict, Done):
                    await asyncio.sleep(FIXED_POLL)
                    reply = await _paced(gate, partial(provider.look, str(row)))

        await asyncio.gather(*(worker() for _ in range(workers)))

    return work


async def clairvoyant(provider: Timed, rate: float) -> None:
    """Submits all, then asks for each run once, in the order in which they end."""
    gate = Gate(rate)
    for row in range(len(provider.durations)):
        await _paced(gate, partial(provider.submit, _inputs(row)))
    for run_id, end in sorted(provider.ends.items(), key=lambda run: run[1]):
        await asyncio.sleep(end - _now())
        await _paced(gate, partial(provider.look, run_id))


def _inputs(row: int) -> Inputs:
    return {"row": str(row)}


async def _paced(gate: Permits, request: Callable[[OnSent], Awaitable[Reply]]) -> Reply:
    permit = await gate.acquire()
    return await request(permit.sent)


WAYS: dict[str, Way] = {
    "enricher": enricher_in(Mode.ASYNC),
    "enricher --mode sync": enricher_in(Mode.SYNC),
    "enricher --mode auto": enricher_in(Mode.AUTO),
    "pool of 10, every 2 s": pool_of(10),
    "pool of 500, every 2 s": pool_of(500),
}


# --- measuring --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    requests: float
    delay: float
    makespan: float


def measure(way: Way, durations: Sequence[float], rate: float) -> Figures:
    provider = Timed(durations)

    async def timed() -> float:
        await way(provider, rate)
        return _now()

    makespan = virtual.run(timed())
    delay = statistics.median(provider.delays)
    return Figures(provider.requests / len(durations), delay, makespan)


def drawn(distribution: Duration, rows: int, seed: int) -> list[float]:
    chance = random.Random(seed)  # noqa: S311 — a simulation
    return [distribution.seconds(chance.random() or 0.5) for _ in range(rows)]


def main() -> None:
    """Print a table for each distribution; figures are means over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--only", choices=WAYS, help="one way instead of all")
    parser.add_argument("--runs", nargs="*", default=DISTRIBUTIONS, help="distributions")
    options = parser.parse_args()
    print(f"{options.rows} runs at {options.rate:g} requests/s, mean of {options.seeds} seeds")
    for spec in options.runs:
        lists = [drawn(parse_duration(spec), options.rows, seed) for seed in range(options.seeds)]
        bounds = [measure(clairvoyant, durations, options.rate) for durations in lists]
        print(f"\n{spec:26}{'requests':>10}{'delay s':>10}{'makespan s':>12}{'ratio':>8}")
        _print("clairvoyant", bounds, bounds)
        for name, way in WAYS.items():
            if options.only in (None, name):
                found = [measure(way, durations, options.rate) for durations in lists]
                _print(name, found, bounds)


def _print(name: str, found: Sequence[Figures], bounds: Sequence[Figures]) -> None:
    pairs = zip(found, bounds, strict=True)
    ratio = statistics.mean(one.makespan / bound.makespan for one, bound in pairs)
    mean = [
        statistics.mean(getattr(one, what) for one in found)
        for what in ("requests", "delay", "makespan")
    ]
    print(f"{name:26}{mean[0]:10.3f}{mean[1]:10.1f}{mean[2]:12.1f}{ratio:8.3f}", flush=True)


if __name__ == "__main__":
    main()
