"""One request: send it, learn from its answer, carry out what follows.

What an answer leads to is told by `reactions`; here it is written, counted and done.
"""

import asyncio

from enricher.engine.server import Server, Tools
from enricher.intake import Intake
from enricher.model import (
    Cause,
    Completed,
    Doubted,
    End,
    Failed,
    GotId,
    Item,
    Mode,
    Stalled,
    Withdrew,
)
from enricher.notice import EventName
from enricher.pace import Backoff, Permit
from enricher.providers.base import Hold, Provider
from enricher.reactions import (
    Again,
    after_look,
    after_submission,
)
from enricher.schedule import Run, Schedule
from enricher.verdicts import (
    Accepted,
    Ends,
    Faults,
    Malformed,
    MaybeSent,
    NotSent,
    Reply,
)


class Exchange:
    """The requests of one job."""

    def __init__(
        self, tools: Tools[Provider], schedule: Schedule, intake: Intake, server: Server
    ) -> None:
        self._tools = tools
        self._server = server
        self._journal = tools.journal
        self._counts = tools.counts
        self._schedule = schedule
        self._intake = intake
        self._loop = asyncio.get_running_loop()
        self._backoff = Backoff()
        self._paid: dict[bytes, bool] = {}
        """The submissions of this life, and whether each may have been paid."""

    async def submit(self, item: Item, sent_at: float, permit: Permit) -> None:
        holding = self._schedule.holding
        hold = holding or self._collects()
        self._paid[item.key] = False
        try:
            reply = await self._tools.provider.submit(item.inputs, permit.sent, hold=hold)
        except asyncio.CancelledError:
            self._counts.submit += permit.was_sent
            if permit.was_sent:
                self._count_again(item)
            doubted = Doubted(item.key, "stopped before the answer came")
            self._close(doubted if permit.was_sent else Withdrew(item.key))
            raise
        finally:
            permit.close()
        now = self._loop.time()
        self._schedule.answered(item.key, now, usable=not isinstance(reply.verdict, Faults))
        self._learn("submit", reply, sent_at)
        self._count(item, reply)
        reaction = after_submission(item.key, reply.verdict, self._tools.refusals)
        match reaction.event:
            case GotId(key, run_id):
                began = sent_at if holding else now
                run = Run(key, run_id, began, alive_at=now - began)
                await self._journal.write(reaction.event)
                if reaction.stage:
                    self._schedule.waited_for(run, reaction.stage)
                else:
                    self._schedule.accepted(run)
            case event:
                if holding and isinstance(reply.verdict, Ends):
                    self._schedule.held(now - sent_at)
                self._close(event)
        if reaction.again:
            wait = self._wait_of(reaction.again, 1)
            self._intake.take_back(item, self._loop.time() + wait)
        self._server.heed(reaction)

    def _collects(self) -> bool:
        """Whether a look waits for the run's end: that exposes nothing, and saves requests."""
        tools = self._tools
        return tools.mode is not Mode.ASYNC and tools.provider.holds is Hold.COLLECT

    def _count(self, item: Item, reply: Reply) -> None:
        verdict = reply.verdict
        self._counts.submit += not isinstance(verdict, NotSent)
        self._counts.accepted += isinstance(verdict, Accepted | Ends)
        if isinstance(verdict, Accepted | Ends | MaybeSent | Malformed):
            self._paid[item.key] = True
            self._count_again(item)

    def _count_again(self, item: Item) -> None:
        self._counts.resubmitted_failed += item.cause is Cause.FAILED
        self._counts.resubmitted_in_doubt += item.cause is Cause.IN_DOUBT

    async def look(self, run: Run, sent_at: float, permit: Permit) -> None:
        try:
            reply = await self._tools.provider.look(run.run_id, permit.sent, stage=run.stage)
        except asyncio.CancelledError:
            self._counts.poll += permit.was_sent
            raise
        finally:
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
        if reaction.stage:
            self._schedule.ready(run, reaction.stage, now)
        elif reaction.again:
            self._look_again(run, reaction.again, now)
        else:
            self._looked(run, ended=isinstance(reply.verdict, Ends), on=reaction.event is None)
            self._choose_mode()
        if reaction.event:
            self._close(reaction.event, again=run.stalled)
        self._server.heed(reaction)

    def _learn(self, kind: str, reply: Reply, sent_at: float) -> None:
        self._server.learn(kind, reply, sent_at)
        self._schedule.rate = self._tools.gate.rate

    def _look_again(self, run: Run, again: Again, now: float) -> None:
        """After a fault, ask first how the run stands: a fetch alone might fail for ever."""
        if again is Again.AFTER_BACKOFF:
            run.faults += 1
            run.stage, run.held = "", False
        wait = self._wait_of(again, run.faults)
        if run.stage:
            self._schedule.look_first(run)
        else:
            self._schedule.look_again(run, now + wait)

    def _looked(self, run: Run, *, ended: bool, on: bool) -> None:
        """Tell the schedule, which learns of every end once."""
        now = self._loop.time()
        if ended and run.held:
            self._schedule.held(now - run.submitted_at)
        is_news = ended and not run.held and not run.ended
        run.stage, run.held = "", False
        self._schedule.looked(run, ended=is_news, on=on, now=now)

    def _choose_mode(self) -> None:
        schedule = self._schedule
        may_hold = self._tools.mode is Mode.AUTO and not schedule.holding
        if may_hold and schedule.holding_pays():
            schedule.holding = True
            self._server.tell(
                EventName.MODE_CHANGED,
                "going on in sync mode, which is clearly faster for runs as short as these;"
                " submissions that are open when the program dies are in doubt",
            )

    # --- carrying out a reaction -------------------------------------------------------------

    def _close(self, event: GotId | End | None, *, again: bool = False) -> None:
        """Write what ends an item or takes it back; `again` if an earlier life gave it up."""
        if event is None or isinstance(event, GotId):
            raise TypeError(f"{event} ends nothing")
        self._journal.post(event)
        self._schedule.closed(event.key)
        self._tell_stops(event, again)

    def _tell_stops(self, event: End, again: bool) -> None:
        stops, paid = self._tools.stops, self._paid.pop(event.key, None)
        match event:
            case Withdrew():
                stops.given_back()
            case Doubted():
                stops.lost()
            case Stalled() if again:
                stops.left(paid=paid)
            case Failed(_, code, message) | Stalled(_, code, message):
                stops.ended(self._loop.time(), paid=paid, failure=f"{code}: {message}")
            case Completed():
                stops.ended(self._loop.time(), paid=paid, failure=None)

    def _wait_of(self, again: Again, faults: int) -> float:
        self._counts.retried += 1
        return self._backoff.after(faults) if again is Again.AFTER_BACKOFF else 0.0
