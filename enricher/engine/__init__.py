"""Items in, events out: decide the next request, act, tell the journal.

A few intents are kept on disk ahead of time; the `driver` asks the gate for permission and sends
what the schedule says is next. `exchange` does one request and carries out what follows from its
answer.

Nothing here knows a vendor, a file, SQL, HTTP or a wall clock.
"""

import asyncio
from collections import deque

from enricher.engine.batches import BatchEngine
from enricher.engine.driver import Driver
from enricher.engine.exchange import Exchange
from enricher.engine.server import Tools
from enricher.engine.tasks import ANSWER_GRACE, Group, ended
from enricher.model import Intended, Item, Mode, Recovered, Withdrew
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


class Engine(Driver[Provider, Recovered]):
    """Works one job off, a run a request; call `run()` once."""

    def __init__(self, tools: Tools[Provider]) -> None:
        super().__init__(tools)
        self._schedule = Schedule(
            tools.gate.rate,
            tools.most_in_flight,
            hold=tools.provider.hold if tools.provider.holds is Hold.SUBMIT else 0.0,
            holding=tools.mode is Mode.SYNC and tools.provider.holds is Hold.SUBMIT,
        )
        self._exchange = Exchange(tools, self._schedule, self._intake, self._server)
        self._preparing: Group = set()
        self._collections: Group = set()
        self._commits = deque([MOST_LEAD / 4], maxlen=_COMMITS_REMEMBERED)

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

    # --- what the driver asks -----------------------------------------------------------------

    def _is_over(self) -> bool:
        left = self._intake.left or self._preparing or self._requests or self._collections
        return not left and not self._schedule.in_flight

    def _waits_for_answers(self, now: float) -> bool:
        return bool(self.in_flight if self._stops.is_closed(now) else self._schedule.in_flight)

    def _has_unsent(self) -> bool:
        return bool(self._schedule.prepared or self._preparing)

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

    def _next_is_due(self) -> bool:
        now = self._loop.time()
        self._schedule.one_at_a_time = self._tools.breaker.is_trying
        return now >= self._begins_at() and self._schedule.is_due(now)

    def _send_next(self, permit: Permit) -> None:
        now = self._loop.time()
        match self._schedule.next(now):
            case Submit(item):
                self._schedule.sent(item.key, now)
                self._tasks.start(self._exchange.submit(item, now, permit), self._requests)
            case Look(run):
                group = self._collections if run.held else self._requests
                self._tasks.start(self._exchange.look(run, now, permit), group)
            case None:
                permit.close()

    def _next_due(self) -> float:
        now = self._loop.time()
        begins_at = self._begins_at()
        if self._tools.breaker.is_open:
            due = self._server.probe_due_at()
        elif begins_at > now:
            due = begins_at
        else:
            due = min(self._schedule.due_at(), self._intake.due_at(now))
        return min(due, self._stops.next_change(now))
