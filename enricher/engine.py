"""Items in, events out: decide the next request, act, tell the journal.

The driver keeps a few intents on disk ahead of time, asks the gate for permission and sends what
the schedule says is next, with nothing awaited between permission and send: a commit in that place
would break the limit. What an answer leads to is told by `reactions`; the engine carries it out.

Nothing here knows a vendor, a file, SQL, HTTP or a wall clock.
"""

import asyncio
import math
from collections.abc import (
    AsyncIterator,
    Coroutine,
    Iterable,
    Sequence,
)
from dataclasses import dataclass
from typing import Any

from enricher.intake import Intake
from enricher.model import (
    Doubted,
    Event,
    GotId,
    Intended,
    Item,
    Journal,
    Mode,
    Recovered,
    RequestCounts,
    Stop,
    StopCode,
    Warn,
    Withdrew,
)
from enricher.pace import Backoff, Breaker, Permit, Permits
from enricher.providers.base import Provider
from enricher.reactions import (
    Again,
    Reaction,
    Refusals,
    after_look,
    after_submission,
    said_to_everyone,
)
from enricher.schedule import MOST_IN_FLIGHT, Estimate, Look, Run, Schedule, Submit
from enricher.verdicts import Accepted, Ends, Faults, NotSent, Refused, Reply, SaidToEveryone

ANSWER_GRACE = 10.0
"""Seconds that a stop waits for the answers to what was sent; held submissions have longer."""

HOLD_GRACE = 15.0
"""Seconds that a held submission may take beyond the time for which it is held."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What an engine works with.

    Attributes:
        run_timeout: seconds since a submission after which a run is given up.
        most_in_flight: runs that may be under way at once.
        warn: told each thing that a person should know, once.
    """

    provider: Provider
    gate: Permits
    breaker: Breaker
    refusals: Refusals
    journal: Journal
    counts: RequestCounts
    run_timeout: float
    warn: Warn
    mode: Mode = Mode.ASYNC
    most_in_flight: int = MOST_IN_FLIGHT


class Engine:
    """Works one job off; call `run()` once."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._journal = tools.journal
        self._counts = tools.counts
        self._loop = asyncio.get_running_loop()
        self._schedule = Schedule(
            tools.gate.rate,
            tools.most_in_flight,
            hold=tools.provider.hold,
            holding=tools.mode is Mode.SYNC,
        )
        self._backoff = Backoff()
        self._intake = Intake(self._ring)
        self._preparing: set[asyncio.Task[None]] = set()
        self._requests: set[asyncio.Task[None]] = set()
        self._probing = False
        self._bell = asyncio.Event()
        self._driver: asyncio.Task[None] | None = None
        self._stop: Stop | None = None
        self._failure: BaseException | None = None
        self._warned: set[str] = set()

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

        Called again, wait for no more answers: what is unanswered is in doubt. The first reason
        counts.
        """
        again = self._stop is not None and stop.signal
        self._stop = self._stop or stop
        if self._driver is not None:
            self._driver.cancel()
        for request in self._requests if again else ():
            request.cancel()

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
        pump = self._started(self._intake.pump(feed))
        self._driver = self._started(self._drive())
        try:
            if self._stop is None:
                await asyncio.wait({self._driver})
        finally:
            await _ended(pump, self._driver)
            await self._collect()
        if self._failure is not None:
            raise self._failure
        return self._stop

    def _recover(self, found: Recovered) -> None:
        submitted_at = self._loop.time() - found.age
        self._schedule.opened(found.key)
        run = Run(found.key, found.run_id, submitted_at, stalled=found.stalled)
        self._schedule.recovered.append(run)

    async def _collect(self) -> None:
        """Wait for answers and take back what was not sent; what gets no answer is in doubt."""
        if self._preparing:
            await asyncio.wait(self._preparing)
        if self._requests:
            await asyncio.wait(self._requests, timeout=self._grace())
        await _ended(*self._requests)
        if self._failure is None:
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

    def _started(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._preparing.discard(task)
        self._requests.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failure = self._failure or error
            if self._driver is not None:
                self._driver.cancel()
        self._ring()

    # --- the driver --------------------------------------------------------------------------

    async def _drive(self) -> None:
        while not self._is_over():
            if self._tools.breaker.is_given_up(self._loop.time()):
                self.stop(
                    Stop(StopCode.SERVER_GONE, "the server gave no usable answer for too long")
                )
                return
            self._prepare()
            if self._is_due():
                self._send(await self._tools.gate.acquire())
            else:
                await self._wait()

    def _is_over(self) -> bool:
        left = self._intake.left or self._preparing or self._requests
        return not left and not self._schedule.in_flight

    def _prepare(self) -> None:
        """Begin to write intents, while there is room for more."""
        self._schedule.to_come = self._intake.left + len(self._preparing)
        while len(self._preparing) < self._schedule.room() and (item := self._next_item()):
            self._schedule.opened(item.key)
            self._preparing.add(self._started(self._intend(item)))

    def _next_item(self) -> Item | None:
        if self._tools.breaker.is_open:
            return None
        return self._intake.next(self._loop.time())

    async def _intend(self, item: Item) -> None:
        if await self._journal.write(Intended(item)):
            self._schedule.prepared.append(item)
        else:  # another row with equal inputs came first
            self._schedule.closed(item.key)

    def _is_due(self) -> bool:
        now = self._loop.time()
        if self._tools.breaker.is_open:
            return not self._probing and now >= self._tools.breaker.probe_due_at
        self._schedule.one_at_a_time = self._tools.breaker.is_trying
        return self._schedule.is_due(now)

    def _send(self, permit: Permit) -> None:
        """Send what is next at this very moment: the gate has just allowed one request."""
        now = self._loop.time()
        if self._tools.breaker.is_open:
            if not self._probing:
                self._probing = True
                self._requests.add(self._started(self._probe(now, permit)))
            else:
                permit.close()
            return
        match self._schedule.next(now):
            case Submit(item):
                self._schedule.sent(item.key, now)
                self._requests.add(self._started(self._submit(item, now, permit)))
            case Look(run):
                self._requests.add(self._started(self._look(run, now, permit)))
            case None:
                permit.close()

    async def _wait(self) -> None:
        """Wait for something to happen, or for the next thing that is due by itself."""
        due = self._schedule.due_at()
        if self._tools.breaker.is_open:
            due = math.inf if self._probing else self._tools.breaker.probe_due_at
        else:
            due = min(due, self._intake.due_at(self._loop.time()))
        try:
            async with asyncio.timeout_at(None if math.isinf(due) else due):
                await self._bell.wait()
        except TimeoutError:
            pass

    def _ring(self) -> None:
        """Wake everyone who waits for a change."""
        self._bell.set()
        self._bell = asyncio.Event()

    # --- one request -------------------------------------------------------------------------

    async def _submit(self, item: Item, sent_at: float, permit: Permit) -> None:
        hold = self._schedule.holding
        try:
            reply = await self._tools.provider.submit(item.inputs, permit.sent, hold=hold)
        except asyncio.CancelledError:
            self._counts.submit += 1
            self._journal.post(Doubted(item.key, "stopped before the answer came"))
            raise
        finally:
            permit.close()
        now = self._loop.time()
        self._schedule.answered(item.key, now)
        self._learn("submit", reply, sent_at)
        self._counts.submit += not isinstance(reply.verdict, NotSent)
        self._counts.accepted += isinstance(reply.verdict, Accepted | Ends)
        reaction = after_submission(item.key, reply.verdict, self._tools.refusals)
        match reaction.event:
            case GotId(key, run_id):
                began = sent_at if hold else now
                run = Run(key, run_id, began, alive_at=now - began)
                await self._journal.write(reaction.event)
                self._schedule.accepted(run)
            case event:
                if hold and isinstance(reply.verdict, Ends):
                    self._schedule.held(now - sent_at)
                self._close(event)
        if reaction.again:
            wait = self._wait_of(reaction.again, 1)
            self._intake.take_back(item, self._loop.time() + wait)
        self._heed(reaction)

    async def _look(self, run: Run, sent_at: float, permit: Permit) -> None:
        reply = await self._tools.provider.look(run.run_id, permit.sent)
        permit.close()
        self._learn("look", reply, sent_at)
        self._counts.poll += not isinstance(reply.verdict, NotSent)
        now = self._loop.time()
        reaction = after_look(
            run.key,
            reply.verdict,
            faults=run.faults,
            too_old=now - run.submitted_at > self._tools.run_timeout,
            last_look=run.stalled,
        )
        if reaction.again:
            run.faults += reaction.again is Again.AFTER_BACKOFF
            self._schedule.look_again(run, now + self._wait_of(reaction.again, run.faults))
        else:
            ended = isinstance(reply.verdict, Ends)
            self._schedule.looked(run, ended=ended, on=reaction.event is None, now=now)
            self._choose_mode()
        if reaction.event:
            self._close(reaction.event)
        self._heed(reaction)

    def _choose_mode(self) -> None:
        schedule = self._schedule
        may_hold = self._tools.mode is Mode.AUTO and not schedule.holding
        if may_hold and schedule.holding_pays():
            schedule.holding = True
            self._tools.warn(
                "going on in sync mode, which is clearly faster for runs as short as these;"
                " submissions that are open when the program dies are in doubt"
            )

    async def _probe(self, sent_at: float, permit: Permit) -> None:
        reply = await self._tools.provider.probe(permit.sent)
        permit.close()
        self._counts.other += not isinstance(reply.verdict, NotSent)
        self._probing = False
        self._tools.gate.observe(reply.signal, sent_at)
        alive = not isinstance(reply.verdict, Faults)
        self._tools.breaker.probed(alive, self._loop.time())
        if isinstance(reply.verdict, SaidToEveryone):
            self._heed(said_to_everyone(reply.verdict))

    def _learn(self, kind: str, reply: Reply, sent_at: float) -> None:
        self._counts.rate_limited += reply.signal.limited
        self._tools.gate.observe(reply.signal, sent_at)
        self._schedule.rate = self._tools.gate.rate
        breaker = self._tools.breaker
        if isinstance(reply.verdict, Faults):
            was_open = breaker.is_open
            breaker.fault(kind, self._loop.time())
            if breaker.is_open and not was_open:
                self._warn_once(
                    f"the server has trouble ({reply.verdict.reason}): nothing more is submitted"
                    " until it answers a probe"
                )
        elif not isinstance(reply.verdict, Refused):
            breaker.answered(kind)

    # --- carrying out a reaction -------------------------------------------------------------

    def _close(self, event: Event | None) -> None:
        """Write the event that ends an item, or takes it back."""
        if event is None or isinstance(event, Intended):
            raise TypeError(f"{event} ends nothing")
        self._journal.post(event)
        self._schedule.closed(event.key)

    def _wait_of(self, again: Again, faults: int) -> float:
        self._counts.retried += 1
        return self._backoff.after(faults) if again is Again.AFTER_BACKOFF else 0.0

    def _heed(self, reaction: Reaction) -> None:
        if reaction.note:
            self._warn_once(reaction.note)
        if reaction.stop:
            self.stop(reaction.stop)

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._tools.warn(text)


async def _ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
