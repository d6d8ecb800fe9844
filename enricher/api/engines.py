"""Which engine works a job off, and what of an earlier life it goes on with."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from enricher.api.wiring import Prepared, most_in_flight
from enricher.checkpoint import Reader
from enricher.engine import BatchEngine, Engine, Tools
from enricher.forecast import requests_per_run
from enricher.model import (
    Context,
    Item,
    Journal,
    Mode,
    Recovered,
    RecoveredBatch,
    Spent,
    State,
    Stop,
    Warn,
)
from enricher.pace import Breaker
from enricher.providers.base import BatchProvider, Hold, Target
from enricher.reactions import Refusals
from enricher.stops import Stops

AnyEngine = Engine | BatchEngine
Served = TypeVar("Served", bound=Target)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What an earlier life submitted, and has no end yet."""

    runs: Sequence[Recovered] = ()
    batches: Sequence[RecoveredBatch] = ()

    @property
    def stalled(self) -> list[bytes]:
        """Keys of the runs that are looked at once more."""
        return [run.key for run in self.runs if run.stalled]


NOTHING = Recovery()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an engine meets besides its provider.

    Attributes:
        answered: whether submissions of this pass were answered before.
        spent: told what the pass has used, whenever that was read.
        most_in_batch: items of a batch, if the provider has told it before.
        learnt: told how many items a batch may hold.
    """

    journal: Journal
    stops: Stops
    answered: bool
    warn: Warn
    spent: Callable[[Spent], None]
    most_in_batch: int | None
    learnt: Callable[[int], None]


def recovery_of(reader: Reader, context: Context, now: float) -> Recovery:
    """What is unfinished; `now` in seconds since 1970."""
    runs = [
        Recovered(
            found.key,
            found.run_id,
            age=max(0.0, now - found.submitted_at),
            stalled=found.state is State.STALLED,
        )
        for found in reader.unfinished(context, State.RUNNING, State.STALLED)
    ]
    batches = [
        RecoveredBatch(found.batch, age=max(0.0, now - found.formed_at))
        for found in reader.batches(context)
    ]
    return Recovery(runs, batches)


def usual_requests(ready: Prepared) -> Callable[..., float]:
    """`requests_per_run`, as this provider's runs need them."""
    unheld = {Hold.NONE: Mode.ASYNC, Hold.ALWAYS: Mode.SYNC}
    mode = unheld.get(ready.provider.holds, ready.job.mode)
    match ready.provider:
        case BatchProvider() as provider:
            return partial(requests_per_run, mode, batch=provider.max_batch)
        case provider:
            return partial(requests_per_run, mode, collected=provider.holds is Hold.COLLECT)


def engine_for(ready: Prepared, around: Surroundings) -> AnyEngine:
    """The engine that fits what the provider can do."""
    match ready.provider:
        case BatchProvider() as provider:
            tools = _tools(ready, provider, around)
            return BatchEngine(tools, around.most_in_batch, around.learnt)
        case provider:
            return Engine(_tools(ready, provider, around))


def _tools(ready: Prepared, provider: Served, around: Surroundings) -> Tools[Served]:
    job = ready.job
    return Tools(
        provider=provider,
        gate=ready.gate,
        breaker=Breaker(job.max_outage),
        refusals=Refusals(answered=around.answered),
        journal=around.journal,
        counts=ready.counts,
        run_timeout=job.run_timeout,
        warn=around.warn,
        stops=around.stops,
        mode=job.mode,
        most_in_flight=most_in_flight(job),
        spent=around.spent,
    )


async def work_off(
    engine: AnyEngine, feed: AsyncIterator[Sequence[Item]], recovery: Recovery
) -> Stop | None:
    """See `Engine.run`."""
    match engine:
        case BatchEngine():
            return await engine.run(feed, recovery.batches)
        case Engine():
            return await engine.run(feed, recovery.runs)
