"""Items in, events out: decide the next request, act, tell the journal.

The driver keeps a few intents on disk ahead of time, asks the gate for permission and sends what
the schedule says is next, with nothing awaited between permission and send: a commit in that place
would break the limit. What an answer leads to stands in two tables at the end of this file, kind of
request × verdict → what happens.

Nothing here knows a vendor, a file, SQL, HTTP or a wall clock.
"""

import asyncio
import heapq
import itertools
import math
from collections import deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Any

from enricher.model import (
    Completed,
    Doubted,
    Failed,
    GotId,
    Intended,
    Item,
    Journal,
    Recovered,
    RequestCounts,
    Stalled,
    Stop,
    StopCode,
    Warn,
    Withdrew,
)
from enricher.pace import Backoff, Breaker, Permits
from enricher.providers.base import Provider
from enricher.schedule import Look, Run, Schedule, Submit
from enricher.stops import Refusals
from enricher.verdicts import (
    Accepted,
    Done,
    JobStops,
    KeyRejected,
    Malformed,
    MaybeSent,
    NotSent,
    Refused,
    Reply,
    RowRejected,
    RunFailed,
    StillRunning,
    Verdict,
)

ANSWER_GRACE = 10.0
"""Seconds that a stop waits for the answers to what was sent."""

LOOKS_AT_A_MISSING_RUN = 4
"""A run may be unknown for a moment after it was accepted (read after write)."""

LOOKS_WITHOUT_SENSE = 8
"""Looks at one run that bring no usable answer, before it is left to a later invocation."""

FED_AHEAD = 1000
"""Items taken from the feed before they are needed."""

_FAULTS = (NotSent, MaybeSent, Malformed)


@dataclass(frozen=True, slots=True)
class Tools:
    """What an engine works with; `run_timeout` in seconds since a submission.

    `warn` is told each thing that a person should know, once.
    """

    provider: Provider
    gate: Permits
    breaker: Breaker
    refusals: Refusals
    journal: Journal
    counts: RequestCounts
    run_timeout: float
    warn: Warn


class Engine:
    """Works one job off; call `run()` once."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._journal = tools.journal
        self._counts = tools.counts
        self._loop = asyncio.get_running_loop()
        self._schedule = Schedule(tools.gate.rate)
        self._backoff = Backoff()
        self._fed: deque[Item] = deque()
        self._feed_ended = False
        self._taken_back: list[tuple[float, int, Item]] = []
        self._order = itertools.count()
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
        """Items submitted, or about to be, and not ended."""
        return self._schedule.in_flight

    def stop(self, stop: Stop) -> None:
        """Send nothing more and collect the answers to what was sent. The first reason counts."""
        self._stop = self._stop or stop
        if self._driver is not None:
            self._driver.cancel()

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
        pump = self._started(self._pump(feed))
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
            await asyncio.wait(self._requests, timeout=ANSWER_GRACE)
        await _ended(*self._requests)
        if self._failure is None:
            for item in self._schedule.prepared:
                self._journal.post(Withdrew(item.key))

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

    # --- the driver ----------------------------------------------------------------------------------

    async def _pump(self, feed: AsyncIterator[Sequence[Item]]) -> None:
        async for items in feed:
            self._fed.extend(items)
            self._ring()
            while len(self._fed) >= FED_AHEAD:
                await self._bell.wait()
        self._feed_ended = True

    async def _drive(self) -> None:
        while not self._is_over():
            if self._tools.breaker.is_given_up(self._loop.time()):
                self.stop(
                    Stop(StopCode.SERVER_GONE, "the server gave no usable answer for too long")
                )
                return
            self._prepare()
            if self._is_due():
                await self._tools.gate.acquire()
                self._send()
            else:
                await self._wait()

    def _is_over(self) -> bool:
        left = self._fed or self._taken_back or self._preparing or self._requests
        return self._feed_ended and not left and not self._schedule.in_flight

    def _prepare(self) -> None:
        """Begin to write intents, while there is room for more."""
        self._schedule.feed_ended = self._feed_ended and not self._fed
        while len(self._preparing) < self._schedule.room() and (item := self._next_item()):
            self._schedule.opened(item.key)
            self._preparing.add(self._started(self._intend(item)))

    def _next_item(self) -> Item | None:
        if self._tools.breaker.is_open:
            return None
        if self._taken_back and self._taken_back[0][0] <= self._loop.time():
            return heapq.heappop(self._taken_back)[2]
        return self._fed.popleft() if self._fed else None

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

    def _send(self) -> None:
        """Send what is next at this very moment: the gate has just allowed one request."""
        now = self._loop.time()
        if self._tools.breaker.is_open:
            if not self._probing:
                self._probing = True
                self._requests.add(self._started(self._probe(now)))
            return
        match self._schedule.next(now):
            case Submit(item):
                self._schedule.sent(item.key, now)
                self._requests.add(self._started(self._submit(item, now)))
            case Look(run):
                self._requests.add(self._started(self._look(run, now)))

    async def _wait(self) -> None:
        """Wait for something to happen, or for the next thing that is due by itself."""
        due = self._schedule.due_at()
        if self._tools.breaker.is_open:
            due = math.inf if self._probing else self._tools.breaker.probe_due_at
        elif self._taken_back and self._taken_back[0][0] > self._loop.time():
            due = min(due, self._taken_back[0][0])
        try:
            async with asyncio.timeout_at(None if math.isinf(due) else due):
                await self._bell.wait()
        except TimeoutError:
            pass

    def _ring(self) -> None:
        """Wake everyone who waits for a change."""
        self._bell.set()
        self._bell = asyncio.Event()

    # --- one request -----------------------------------------------------------------------------------

    async def _submit(self, item: Item, sent_at: float) -> None:
        self._counts.submit += 1
        try:
            reply = await self._tools.provider.submit(item.inputs)
        except asyncio.CancelledError:
            self._journal.post(Doubted(item.key, "stopped before the answer came"))
            raise
        self._schedule.answered(item.key, self._loop.time())
        self._learn("submit", reply, sent_at)
        if isinstance(reply.verdict, Accepted | Done | RunFailed):
            self._counts.accepted += 1
            self._tools.refusals.good_answer()
        await _AFTER_SUBMIT[type(reply.verdict)](self, item, reply.verdict)

    async def _look(self, run: Run, sent_at: float) -> None:
        self._counts.poll += 1
        reply = await self._tools.provider.look(run.run_id)
        self._learn("look", reply, sent_at)
        _AFTER_LOOK[type(reply.verdict)](self, run, reply.verdict)

    async def _probe(self, sent_at: float) -> None:
        self._counts.other += 1
        reply = await self._tools.provider.probe()
        self._probing = False
        self._tools.gate.observe(reply.signal, sent_at)
        alive = not isinstance(reply.verdict, _FAULTS)
        self._tools.breaker.probed(alive, self._loop.time())
        if isinstance(reply.verdict, JobStops):
            self._refused(reply.verdict)
        if isinstance(reply.verdict, KeyRejected):
            self._heed_key(reply.verdict)

    def _learn(self, kind: str, reply: Reply, sent_at: float) -> None:
        self._counts.rate_limited += reply.signal.limited
        self._tools.gate.observe(reply.signal, sent_at)
        self._schedule.rate = self._tools.gate.rate
        breaker = self._tools.breaker
        if isinstance(reply.verdict, _FAULTS):
            was_open = breaker.is_open
            breaker.fault(kind, self._loop.time())
            if breaker.is_open and not was_open:
                self._warn_once(
                    f"the server has trouble ({_reason(reply.verdict)}): nothing more is submitted"
                    " until it answers a probe"
                )
        elif not isinstance(reply.verdict, Refused):
            breaker.answered(kind)

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._tools.warn(text)

    # --- what a submission leads to --------------------------------------------------------------------

    async def _got_id(self, item: Item, verdict: Accepted) -> None:
        run = Run(item.key, verdict.run_id, self._loop.time())
        await self._journal.write(GotId(item.key, verdict.run_id))
        self._schedule.accepted(run)

    async def _done_at_once(self, item: Item, verdict: Done) -> None:
        self._close(Completed(item.key, verdict.outputs, verdict.names))

    async def _failed_at_once(self, item: Item, verdict: RunFailed) -> None:
        self._close(Failed(item.key, verdict.code, verdict.message))

    async def _in_doubt(self, item: Item, verdict: MaybeSent | Malformed) -> None:
        self._close(Doubted(item.key, verdict.reason))

    async def _wait_and_repeat(self, item: Item, _verdict: Refused) -> None:
        self._take_back(item)

    async def _not_sent(self, item: Item, _verdict: NotSent) -> None:
        self._take_back(item, after=self._backoff.after(1))

    async def _row_rejected(self, item: Item, verdict: RowRejected) -> None:
        if self._tools.refusals.is_first(verdict):
            self._take_back(item)
            self._refused(verdict)
            return
        self._close(Failed(item.key, verdict.code, verdict.message))
        if stop := self._tools.refusals.count(verdict):
            self.stop(stop)

    async def _key_rejected(self, item: Item, verdict: KeyRejected) -> None:
        self._take_back(item)
        self._heed_key(verdict)

    async def _job_stops(self, item: Item, verdict: JobStops) -> None:
        self._take_back(item)
        self._refused(verdict)

    def _take_back(self, item: Item, *, after: float = 0.0) -> None:
        """The submission was not processed: undo the intent, and try again `after` seconds."""
        self._close(Withdrew(item.key))
        self._counts.retried += 1
        due = self._loop.time() + after
        heapq.heappush(self._taken_back, (due, next(self._order), item))

    def _close(self, event: Completed | Failed | Stalled | Doubted | Withdrew) -> None:
        self._journal.post(event)
        self._schedule.closed(event.key)

    def _refused(self, verdict: JobStops | RowRejected) -> None:
        self.stop(Stop(StopCode.REFUSED, f"{verdict.code}: {verdict.message}"))

    def _heed_key(self, verdict: KeyRejected) -> None:
        if verdict.renewed:
            self._warn_once("the key was refused; the key file holds another one, going on with it")
        else:
            self.stop(Stop(StopCode.KEY_REVOKED, f"INVALID_API_KEY: {verdict.message}"))

    # --- what a look leads to --------------------------------------------------------------------------

    def _completed(self, run: Run, verdict: Done) -> None:
        self._schedule.looked(run, ended=True, now=self._loop.time())
        self._close(Completed(run.key, verdict.outputs, verdict.names))

    def _failed(self, run: Run, verdict: RunFailed) -> None:
        self._schedule.looked(run, ended=True, now=self._loop.time())
        self._close(Failed(run.key, verdict.code, verdict.message))

    def _still_running(self, run: Run, verdict: StillRunning) -> None:
        if verdict.remark:
            self._warn_once(f"the server answered with an {verdict.remark}; taken as still running")
        if run.stalled or self._is_too_old(run):
            self._stall(run, "RUN_TIMEOUT", "still running; the id is kept and looked at next time")
        else:
            self._schedule.looked(run, ended=False, now=self._loop.time())

    def _look_again(self, run: Run, _verdict: Refused) -> None:
        self._counts.retried += 1
        self._schedule.look_again(run, self._loop.time())

    def _look_failed(self, run: Run, verdict: NotSent | MaybeSent) -> None:
        if run.faults + 1 >= LOOKS_WITHOUT_SENSE and (run.stalled or self._is_too_old(run)):
            self._stall(run, "RUN_TIMEOUT", f"no answer about this run: {verdict.reason}")
        else:
            self._look_later(run)

    def _look_senseless(self, run: Run, verdict: Malformed) -> None:
        if run.faults + 1 >= LOOKS_WITHOUT_SENSE:
            self._stall(run, "MALFORMED_ANSWER", f"{verdict.reason}; the id is kept")
        else:
            self._look_later(run)

    def _run_missing(self, run: Run, verdict: RowRejected) -> None:
        if run.faults + 1 >= LOOKS_AT_A_MISSING_RUN:
            self._stall(run, verdict.code, f"{verdict.message}; it may have been charged")
        else:
            self._look_later(run)

    def _look_refused(self, run: Run, verdict: JobStops) -> None:
        self._look_again(run, Refused())
        self._refused(verdict)

    def _look_key_rejected(self, run: Run, verdict: KeyRejected) -> None:
        self._look_again(run, Refused())
        self._heed_key(verdict)

    def _look_later(self, run: Run) -> None:
        run.faults += 1
        self._counts.retried += 1
        self._schedule.look_again(run, self._loop.time() + self._backoff.after(run.faults))

    def _stall(self, run: Run, code: str, message: str) -> None:
        self._close(Stalled(run.key, code, message))

    def _is_too_old(self, run: Run) -> bool:
        return self._loop.time() - run.submitted_at > self._tools.run_timeout


async def _ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _reason(verdict: Verdict) -> str:
    return verdict.reason if isinstance(verdict, NotSent | MaybeSent | Malformed) else ""


_AFTER_SUBMIT: Mapping[type[Verdict], Callable[[Engine, Item, Any], Awaitable[None]]] = {
    Accepted: Engine._got_id,
    Done: Engine._done_at_once,
    RunFailed: Engine._failed_at_once,
    Refused: Engine._wait_and_repeat,
    NotSent: Engine._not_sent,
    MaybeSent: Engine._in_doubt,
    Malformed: Engine._in_doubt,
    RowRejected: Engine._row_rejected,
    KeyRejected: Engine._key_rejected,
    JobStops: Engine._job_stops,
}

_AFTER_LOOK: Mapping[type[Verdict], Callable[[Engine, Run, Any], None]] = {
    Done: Engine._completed,
    RunFailed: Engine._failed,
    StillRunning: Engine._still_running,
    Refused: Engine._look_again,
    NotSent: Engine._look_failed,
    MaybeSent: Engine._look_failed,
    Malformed: Engine._look_senseless,
    RowRejected: Engine._run_missing,
    KeyRejected: Engine._look_key_rejected,
    JobStops: Engine._look_refused,
}
