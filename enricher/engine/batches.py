"""Items in, events out, many items a request: the engine for providers that take batches.

A batch is on disk, with its exact bytes, before its request may leave. A lost answer is no doubt:
the same request is repeated until it is answered, by this process or a later one, for as long as
the provider remembers it.
"""

import asyncio
import heapq
import itertools
import math
import statistics
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from enricher.engine.driver import Driver
from enricher.engine.server import Tools
from enricher.engine.tasks import ANSWER_GRACE, Group, ended
from enricher.intake import READ_AHEAD
from enricher.model import (
    Batch,
    BatchEnded,
    BatchFormed,
    Cause,
    Completed,
    Doubted,
    End,
    Failed,
    Intended,
    Item,
    RecoveredBatch,
    Withdrew,
)
from enricher.notice import EventName, event_of
from enricher.pace import Backoff, Permit
from enricher.providers.base import BatchProvider
from enricher.reactions import Again, BatchReaction, after_batch
from enricher.schedule import Estimate
from enricher.verdicts import BatchAnswered, Done, Faults, NotSent, Reply

FORGOTTEN = "no answer came for as long as the provider would recognise the request"

_FIRST_ANSWER_TIME = 2.0
_ANSWERS_REMEMBERED = 64


@dataclass(slots=True)
class _Open:
    """A batch that is not answered.

    Attributes:
        inherited: an earlier invocation formed it.
        may_be_known: some request of it may have reached the provider.
    """

    batch: Batch
    remembered_until: float
    inherited: bool = False
    may_be_known: bool = False
    is_under_way: bool = False
    faults: int = 0


class BatchEngine(Driver[BatchProvider, RecoveredBatch]):
    """Works one job off, many items a request; call `run()` once.

    Args:
        most: items of a batch, if the provider has told it before.
        learnt: told how many items a batch may hold.
    """

    def __init__(
        self, tools: Tools[BatchProvider], most: int | None, learnt: Callable[[int], None]
    ) -> None:
        super().__init__(tools)
        self._most = most or tools.provider.max_batch
        self._learnt = learnt
        self._size_is_known = most is not None
        self._backoff = Backoff()
        self._apart = deque[tuple[Item, ...]]()
        self._due: list[tuple[float, int, _Open]] = []
        self._order = itertools.count()
        self._open: dict[str, _Open] = {}
        self._broken = Counter[bytes]()
        self._answer_times = deque([_FIRST_ANSWER_TIME], maxlen=_ANSWERS_REMEMBERED)
        self._forming: Group = set()

    @property
    def in_flight(self) -> int:
        """Items of batches that may have reached the provider and are not answered."""
        known = (one for one in self._open.values() if one.may_be_known or one.is_under_way)
        return sum(len(one.batch.items) for one in known)

    def estimate(self, to_come: int) -> Estimate | None:
        """What is left, with so many items to submit."""
        requests = math.ceil(to_come / self._most) + len(self._open)
        at_once = max(1, self._tools.most_in_flight // self._most)
        seconds = statistics.median(self._answer_times)
        rate = self._tools.gate.rate
        return Estimate(requests, max(requests / rate, requests / at_once * seconds))

    def median_wait(self) -> float | None:
        """A result comes with the answer to its submission."""
        return None

    def _recover(self, found: RecoveredBatch) -> None:
        until = self._loop.time() + self._tools.provider.remembers - found.age
        open_ = _Open(found.batch, until, inherited=True, may_be_known=True)
        self._open[found.batch.id] = open_
        for _ in found.batch.items:
            self._stops.inherited()
        self._ask_at(self._loop.time(), open_)

    async def _collect(self) -> None:
        """Wait for answers, and take back what cannot have reached the provider.

        Batches that get no answer are asked for by a later invocation.
        """
        if self._forming:
            await asyncio.wait(self._forming)
        if self._requests:
            await asyncio.wait(self._requests, timeout=ANSWER_GRACE)
        await ended(self._requests)
        if self._tasks.failure is None:
            for open_ in [one for one in self._open.values() if not one.may_be_known]:
                self._close(open_, tuple(Withdrew(item.key) for item in open_.batch.items))

    # --- what the driver asks -----------------------------------------------------------------

    def _is_over(self) -> bool:
        return not (self._intake.left or self._apart or self._forming or self._open)

    def _waits_for_answers(self, now: float) -> bool:
        return bool(self._open or self._forming)

    def _has_unsent(self) -> bool:
        return bool(self._apart)

    def _next_is_due(self) -> bool:
        if self._tools.breaker.is_trying and self._requests:
            return False
        return bool(self._due) and self._due[0][0] <= self._loop.time()

    def _next_due(self) -> float:
        now = self._loop.time()
        if self._tools.breaker.is_open:
            due = self._server.probe_due_at()
        else:
            due = self._due[0][0] if self._due else math.inf
        due = min(due, self._intake.due_at(now), self._stops.next_change(now))
        return due if due > now else math.inf

    def _send_next(self, permit: Permit) -> None:
        _, _, open_ = heapq.heappop(self._due)
        if self._loop.time() >= open_.remembered_until:
            permit.close()
            self._close(open_, tuple(Doubted(item.key, FORGOTTEN) for item in open_.batch.items))
            return
        open_.is_under_way = True
        self._tasks.start(self._submit(open_, self._loop.time(), permit), self._requests)

    def _ask_at(self, when: float, open_: _Open) -> None:
        heapq.heappush(self._due, (when, next(self._order), open_))

    # --- forming a batch ---------------------------------------------------------------------

    def _prepare(self) -> None:
        """Begin to form the next batch, if there is room for it and enough to fill it."""
        if self._forming or self._tools.breaker.is_open or self._one_is_unsent():
            return
        if self._open and not self._size_is_known:
            return  # it may be too large: one is enough to learn that
        if items := self._next_items():
            self._tasks.start(self._formed(items), self._forming)

    def _one_is_unsent(self) -> bool:
        return any(not one.may_be_known and not one.is_under_way for one in self._open.values())

    def _next_items(self) -> list[Item]:
        room = self._tools.most_in_flight - self.in_flight
        most = min(self._most, max(room, 0 if self._open else 1))
        if self._apart:
            return self._taken_apart()
        waits_for_more = math.isinf(self._intake.left) and len(self._intake) < min(most, READ_AHEAD)
        if most < min(self._most, self._tools.most_in_flight) or waits_for_more:
            return []
        return self._taken(lambda: self._intake.next(self._loop.time()), most)

    def _taken_apart(self) -> list[Item]:
        group = iter(self._apart.popleft())
        items = self._taken(lambda: next(group, None), math.inf)
        if rest := tuple(group):  # a cap came in between
            self._apart.appendleft(rest)
        return items

    def _taken(self, take: Callable[[], Item | None], most: float) -> list[Item]:
        items: list[Item] = []
        while len(items) < most and not self._stops.why(self._loop.time()) and (item := take()):
            self._stops.opened()
            items.append(item)
        return items

    async def _formed(self, items: Sequence[Item]) -> None:
        """Write the intents, then the batch of those that are new."""
        intents = (self._journal.write(Intended(item, batched=True)) for item in items)
        intended = await asyncio.gather(*intents)
        new = tuple(itertools.compress(items, intended))
        for _ in range(len(items) - len(new)):  # another row with equal inputs came first
            self._stops.given_back()
        if new:
            body = self._tools.provider.pack([item.inputs for item in new])
            batch = Batch(str(uuid.uuid4()), new, body)
            until = self._loop.time() + self._tools.provider.remembers
            await self._journal.write(BatchFormed(batch))
            self._open[batch.id] = open_ = _Open(batch, until)
            self._ask_at(self._loop.time(), open_)

    # --- one request -------------------------------------------------------------------------

    async def _submit(self, open_: _Open, sent_at: float, permit: Permit) -> None:
        counts, batch = self._tools.counts, open_.batch
        try:
            reply = await self._tools.provider.submit_batch(
                batch.id, batch.body, len(batch.items), permit.sent
            )
        except asyncio.CancelledError:
            counts.submit += permit.was_sent
            open_.may_be_known = open_.may_be_known or permit.was_sent
            raise
        finally:
            permit.close()
            open_.is_under_way = False
        counts.submit += not isinstance(reply.verdict, NotSent)
        self._server.learn("submit", reply, sent_at)
        self._answer_times.append(self._loop.time() - sent_at)
        self._carry_out(open_, reply)

    def _carry_out(self, open_: _Open, reply: Reply) -> None:
        is_fault = isinstance(reply.verdict, Faults)
        open_.may_be_known = open_.may_be_known or (
            is_fault and not isinstance(reply.verdict, NotSent)
        )
        reaction = after_batch(
            open_.batch.items,
            reply.verdict,
            self._tools.refusals,
            faults=open_.faults,
            forgotten=self._loop.time() >= open_.remembered_until,
            broken=self._broken,
        )
        open_.faults = open_.faults + 1 if is_fault else 0
        if reaction.again:
            self._repeat(open_, reaction.again)
        elif reaction.events is not None:
            self._count(open_, reply)
            self._close(open_, reaction.events)
        self._take_back(reaction)
        if reaction.stop:
            self.stop(reaction.stop)

    def _repeat(self, open_: _Open, again: Again) -> None:
        self._tools.counts.retried += 1
        wait = self._backoff.after(open_.faults) if again is Again.AFTER_BACKOFF else 0.0
        self._ask_at(self._loop.time() + wait, open_)

    def _count(self, open_: _Open, reply: Reply) -> None:
        """Count what was answered; a batch that was refused as a whole was never accepted."""
        counts = self._tools.counts
        match reply.verdict:
            case BatchAnswered(verdicts):
                self._size_is_known = True
                counts.accepted += len(verdicts)
                for item in open_.batch.items:
                    counts.resubmitted_failed += item.cause is Cause.FAILED
                    counts.resubmitted_in_doubt += item.cause is Cause.IN_DOUBT
                if any(isinstance(one, Done) and one.provisional for one in verdicts):
                    self._server.tell(EventName.NOTE, self._tools.provider.stand_in)

    def _close(self, open_: _Open, events: tuple[End, ...]) -> None:
        """Write what became of every item, in one transaction."""
        self._journal.post(BatchEnded(open_.batch.id, events))
        del self._open[open_.batch.id]
        for event in events:
            self._tell_stops(event, None if open_.inherited else True)
            if isinstance(event, Doubted) and event.again:
                self._broken[event.key] += 1

    def _tell_stops(self, event: End, paid: bool | None) -> None:
        match event:
            case Withdrew() if paid is not None:
                self._stops.given_back()
            case Completed():
                self._stops.ended(self._loop.time(), paid=paid, failure=None)
            case Failed(_, code, message):
                self._stops.ended(self._loop.time(), paid=paid, failure=f"{code}: {message}")
            case _:
                self._stops.left(paid=paid)

    def _take_back(self, reaction: BatchReaction) -> None:
        now = self._loop.time()
        if reaction.most is not None:
            self._most = reaction.most
            self._size_is_known = True
            self._learnt(reaction.most)
        for item in reaction.back:
            self._intake.take_back(item, now)
        self._apart.extend(reaction.apart)
        if reaction.note:
            self._server.tell(event_of(reaction.note), reaction.note)
