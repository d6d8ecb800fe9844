"""Items in, events out: decide the next request, act, tell the journal.

The driver keeps a few intents on disk ahead of time, asks the gate for permission and sends what
the schedule says is next, with nothing awaited between permission and send: a commit in that place
would break the limit. `exchange` does one request and carries out what follows from its answer.

Nothing here knows a vendor, a file, SQL, HTTP or a wall clock.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence

from enricher.engine.batches import BatchEngine
from enricher.engine.exchange import Exchange
from enricher.engine.server import Server, Tools
from enricher.engine.tasks import ANSWER_GRACE, Group, Tasks, ended
from enricher.intake import Intake
from enricher.model import Intended, Item, Mode, Recovered, Stop, StopCode, Withdrew
from enricher.pace import Permit
from enricher.providers.base import Hold, Provider
from enricher.schedule import Estimate, Look, Run, Schedule, Submit

__all__ = ["ANSWER_GRACE", "HOLD_GRACE", "BatchEngine", "Engine", "Tools"]

LEAST_LEAD, MOST_LEAD = 0.02, 0.1
"""Seconds before a permission at which its intent is written: long enough for the disk, and no
longer, since an intent that is found unsent after a crash is in doubt. Twice the slowest of the
last commits, within these bounds; more only where even the fastest one took longer, as it does on
its way to an object store."""

_COMMITS_REMEMBERED = 20

HOLD_GRACE = 15.0
"""Seconds that a held submission may take beyond the time for which it is held."""


class Engine:
    """Works one job off; call `run()` once."""

    def __init__(self, tools: Tools[Provider]) -> None:
        self._tools = tools
        self._journal = tools.journal
        self._stops = tools.stops
        self._loop = asyncio.get_running_loop()
        self._schedule = Schedule(
            tools.gate.rate,
            tools.most_in_flight,
            hold=tools.provider.hold if tools.provider.holds is Hold.SUBMIT else 0.0,
            holding=tools.mode is Mode.SYNC and tools.provider.holds is Hold.SUBMIT,
        )
        self._tasks = Tasks(self._end)
        self._intake = Intake(self._tasks.ring)
        self._server = Server(tools, self.stop)
        self._exchange = Exchange(tools, self._schedule, self._intake, self._server)
        self._reading: Group = set()
        self._driving: Group = set()
        self._preparing: Group = set()
        self._requests: Group = set()
        self._collections: Group = set()
        self._commits = deque([MOST_LEAD / 4], maxlen=_COMMITS_REMEMBERED)
        self._stop: Stop | None = None
        self._signalled = False

    @property
    def in_flight(self) -> int:
        """Runs submitted and not ended."""
        about_to_be = len(self._schedule.prepared) + len(self._preparing)
        return self._schedule.in_flight - about_to_be

    def estimate(self, to_come: int) -> Estimate | None:
        """What is left, with so many items to submit; `None` while too little is known."""
        return self._schedule.estimate(to_come)

    def median_wait(self) -> float | None:
        """Estimated seconds between a run's end and its retrieval; `None` if none has ended."""
        return self._schedule.median_wait()

    def stop(self, stop: Stop) -> None:
        """Send nothing more and collect the answers to what was sent.

        At the second signal, wait for no more answers: what is unanswered is in doubt. The first
        reason counts.
        """
        again = self._signalled and stop.signal
        self._signalled = self._signalled or bool(stop.signal)
        self._stop = self._stop or stop
        self._end()
        for request in self._requests if again else ():
            self._loop.call_soon(request.cancel)  # not before it has begun: it must say what became

    def _end(self) -> None:
        for driver in self._driving:
            driver.cancel()

    async def run(
        self, feed: AsyncIterator[Sequence[Item]], recovered: Iterable[Recovered] = ()
    ) -> Stop | None:
        """Work until every item has ended, or until stopped; return why it stopped.

        Raises:
            CheckpointError: the journal could not be written; nothing was submitted after that.
            InputError: the feed could not be read on.
        """
        for found in recovered:
            self._recover(found)
        self._tasks.start(self._intake.pump(feed), self._reading)
        driver = self._tasks.start(self._drive(), self._driving)
        try:
            if self._stop is None:
                await asyncio.wait({driver})
        finally:
            await ended(self._reading | self._driving)
            await self._collect()
        if self._tasks.failure is not None:
            raise self._tasks.failure
        return self._stop

    def _recover(self, found: Recovered) -> None:
        submitted_at = self._loop.time() - found.age
        self._schedule.opened(found.key)
        self._stops.inherited()
        run = Run(found.key, found.run_id, submitted_at, stalled=found.stalled)
        self._schedule.recovered.append(run)

    async def _collect(self) -> None:
        """Wait for answers and take back what was not sent; what gets no answer is in doubt.

        Nobody waits for the ends of runs whose ids are known: a later invocation asks again.
        """
        if self._preparing:
            await asyncio.wait(self._preparing)
        await ended(self._collections)
        if self._requests:
            await asyncio.wait(self._requests, timeout=self._grace())
        await ended(self._requests)
        if self._tasks.failure is None:
            for item in self._schedule.prepared:
                self._journal.post(Withdrew(item.key))

    def _grace(self) -> float:
        if not self._schedule.holding:
            return ANSWER_GRACE
        longest = self._schedule.hold + HOLD_GRACE
        self._tools.warn(
            f"waiting up to {longest:.0f} s for {len(self._requests)} requests that are held open;"
            " a second Ctrl-C leaves their runs in doubt"
        )
        return longest

    # --- the driver --------------------------------------------------------------------------

    async def _drive(self) -> None:
        while not self._is_over():
            if stop := self._reason_to_stop():
                self.stop(stop)
                return
            self._prepare()
            if self._is_due():
                if (permit := await self._server.permission()) is None:
                    return
                self._send(permit)
            else:
                await self._wait()

    def _is_over(self) -> bool:
        left = self._intake.left or self._preparing or self._requests or self._collections
        return not left and not self._schedule.in_flight

    def _reason_to_stop(self) -> Stop | None:
        """Whether the server is gone, or a cap is reached and what was submitted is collected."""
        now = self._loop.time()
        if self._tools.breaker.is_given_up(now):
            return Stop(StopCode.SERVER_GONE, "the server gave no usable answer for too long")
        why = self._stops.why(now)
        if why is None or self._stops.purse.wants_reading():
            return None
        closed = self._stops.is_closed(now)
        if self.in_flight if closed else self._schedule.in_flight:
            return why if now >= self._stops.collects_until() else None
        return why if self._intake or self._schedule.prepared or self._preparing else None

    def _prepare(self) -> None:
        """Begin to write intents, while there is room for more."""
        now = self._loop.time()
        self._schedule.submitting = not self._stops.is_closed(now)
        while self._has_room(now) and (item := self._next_item(now)):
            self._stops.opened()
            self._schedule.opened(item.key)
            self._tasks.start(self._intend(item), self._preparing)
        left = self._intake.left + len(self._preparing)
        self._schedule.expect(0 if self._stops.why(now) else left)

    def _has_room(self, now: float) -> bool:
        ahead = max(MOST_LEAD, self._lead())
        if len(self._preparing) >= self._schedule.room(ahead) or now < self._begins_at():
            return False
        return self._is_quick() or self._schedule.submits_next(self._tools.gate.ready_at())

    def _is_quick(self) -> bool:
        """Whether permissions come faster than intents are written: then some are kept ahead."""
        return self._tools.gate.rate * max(MOST_LEAD, self._lead()) > 1

    def _begins_at(self) -> float:
        """When to get ready for the next permission."""
        if self._is_quick():
            return 0.0
        return self._tools.gate.ready_at() - self._lead()

    def _lead(self) -> float:
        """Seconds that an intent is written ahead of its permission."""
        usual = min(MOST_LEAD, max(LEAST_LEAD, 2 * max(self._commits)))
        return max(usual, 2 * min(self._commits))

    def _next_item(self, now: float) -> Item | None:
        if self._tools.breaker.is_open or self._stops.why(now):
            return None
        return self._intake.next(now)

    async def _intend(self, item: Item) -> None:
        began = self._loop.time()
        intended = await self._journal.write(Intended(item))
        self._commits.append(self._loop.time() - began)
        if intended:
            self._schedule.prepared.append(item)
        else:  # another row with equal inputs came first
            self._schedule.closed(item.key)
            self._stops.given_back()

    def _is_due(self) -> bool:
        now = self._loop.time()
        if self._server.wants_probe():
            return self._server.probe_is_due()
        self._schedule.one_at_a_time = self._tools.breaker.is_trying
        return now >= self._begins_at() and self._schedule.is_due(now)

    def _send(self, permit: Permit) -> None:
        """Send what is next at this very moment: the gate has just allowed one request."""
        now = self._loop.time()
        if self._server.wants_probe():
            if probe := self._server.probe(permit):
                self._tasks.start(probe, self._requests)
            return
        match self._schedule.next(now):
            case Submit(item):
                self._schedule.sent(item.key, now)
                self._tasks.start(self._exchange.submit(item, now, permit), self._requests)
            case Look(run):
                group = self._collections if run.held else self._requests
                self._tasks.start(self._exchange.look(run, now, permit), group)
            case None:
                permit.close()

    async def _wait(self) -> None:
        """Wait for something to happen, or for the next thing that is due by itself."""
        now = self._loop.time()
        begins_at = self._begins_at()
        if self._tools.breaker.is_open:
            due = self._server.probe_due_at()
        elif begins_at > now:
            due = begins_at
        else:
            due = min(self._schedule.due_at(), self._intake.due_at(now))
        await self._tasks.wait(min(due, self._stops.next_change(now)))
