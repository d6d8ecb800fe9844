"""The work of an invocation: rows to the engine, its events to the checkpoint, until a stop."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from enricher.api.engines import (
    NOTHING,
    AnyEngine,
    Recovery,
    Surroundings,
    engine_for,
    recovery_of,
    work_off,
)
from enricher.api.invocation import Invocation
from enricher.checkpoint import Store
from enricher.errors import InputChanged
from enricher.forecast import CLOSED_DOUBT, Census
from enricher.model import Event, Failed, Item, Journal, Spent, Stop, StopCode
from enricher.record import InDoubt

SNAPSHOT_INTERVAL = 1.0
"""Seconds between two summaries saved for `status`."""


class Shift:
    """All that one invocation submits and looks at.

    Attributes:
        is_signalled: somebody wants the process to end, perhaps when the work had ended already.
    """

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._checkpoint = invocation.checkpoint
        self._account = invocation.account
        self._engine: AnyEngine | None = None
        self._asked_to_stop: Stop | None = None
        self._outgrown = False
        self.is_signalled = False

    def stop(self, stop: Stop) -> None:
        """Stop what is at work now, and begin nothing after it."""
        self._asked_to_stop = self._asked_to_stop or stop
        self.is_signalled = self.is_signalled or bool(stop.signal)
        if self._engine is not None:
            self._engine.stop(stop)

    async def work(self, census: Census) -> Stop | None:
        """Go on with what an earlier life submitted, and submit what is new.

        Returns what stopped it before all was done.
        """
        invocation = self._invocation
        now = invocation.outside.clock()
        recovery = recovery_of(invocation.reader, invocation.ready.context, now)
        self._account.begin(census, recovery.stalled)
        await self._checkpoint.save(self._account.now())
        invocation.hooks.ready(self.stop)
        stop = self._asked_to_stop or await self._feed_all(recovery)
        if stop is None and self._outgrown:  # by now every run under way has ended, or stalled
            stop = await self._again()
        if stop is None and invocation.job.in_doubt is not InDoubt.HOLD:
            stop = await self._again(doubts=True)
        return stop

    async def _again(self, *, doubts: bool = False) -> Stop | None:
        """Feed once more what the work so far has left to do."""
        self._account.begin_again()
        return self._asked_to_stop or await self._feed_all(doubts=doubts)

    async def _feed_all(self, recovery: Recovery = NOTHING, *, doubts: bool = False) -> Stop | None:
        journal = self._checkpoint.journal(self._heard)
        engine = engine_for(self._invocation.ready, self._surroundings(journal))
        self._engine = self._account.engine = engine
        ticker = asyncio.create_task(self._tick())
        try:
            return await work_off(engine, self._feed(journal, doubts), recovery)
        finally:
            ticker.cancel()
            await asyncio.wait({ticker})
            await journal.close()
            await self._checkpoint.written()

    def _surroundings(self, journal: Journal) -> Surroundings:
        invocation = self._invocation
        return Surroundings(
            journal=journal,
            stops=invocation.stops,
            answered=invocation.has_answers(),
            warn=invocation.hooks.warn,
            spent=self._keep_spent,
            most_in_batch=invocation.reader.max_batch(invocation.ready.context),
            learnt=lambda most: self._checkpoint.post(Store.save_max_batch, most),
        )

    async def _feed(self, journal: Journal, doubts: bool) -> AsyncIterator[Sequence[Item]]:
        invocation, tally = self._invocation, self._account.tally
        batches = invocation.flow.feed(invocation.lookup(), doubts=doubts)
        closed: set[bytes] = set()
        while True:
            tally.reading()
            try:
                fed = await invocation.feeder.run(next, batches, None)
            except InputChanged as changed:
                self.stop(stop_by(changed))
                return
            if fed is None:
                return
            tally.seen(fed.seen)
            self._outgrown = self._outgrown or fed.outgrown
            for key in fed.closed.keys() - closed:  # an equal row may have closed it just now
                journal.post(Failed(key, CLOSED_DOUBT, fed.closed[key]))
            closed.update(fed.closed)
            yield fed.items

    def _heard(self, event: Event) -> None:
        if detail := self._account.hear(event):
            self._invocation.hooks.detail(detail)

    def _keep_spent(self, spent: Spent) -> None:
        self._account.used = spent.used
        self._checkpoint.post(Store.save_spent, spent)

    async def _tick(self) -> None:
        while True:
            now = self._account.now()
            self._invocation.hooks.progress(now)
            await self._checkpoint.save(now)
            await asyncio.sleep(SNAPSHOT_INTERVAL)


def stop_by(changed: InputChanged) -> Stop:
    """The stop of a job whose input is another file now."""
    return Stop(StopCode.INPUT_CHANGED, changed.message)
