"""One life of a job, from what is known of it to the output."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from enricher.api.account import Account, stop_code
from enricher.api.afterwards import balance_of, evidence_of
from enricher.api.engines import (
    NOTHING,
    Recovery,
    Surroundings,
    engine_for,
    recovery_of,
    work_off,
)
from enricher.api.feeder import Feeder
from enricher.api.folding import Link, going_on, rows_now, stored_links, unanswered
from enricher.api.hooks import Hooks
from enricher.api.outside import Moment, Outside
from enricher.api.planning import check_consent
from enricher.api.remarks import (
    earlier,
    remarks_on,
    remarks_on_money,
    remarks_on_purchase,
    remarks_on_reading,
    remarks_on_target,
    seen_of,
    since_last,
)
from enricher.api.steps import Position, check_wanted, step_of
from enricher.api.wiring import (
    Prepared,
    shown_columns,
    stops_in,
    wanted_by,
)
from enricher.api.writing import (
    RowsWritten,
    Writer,
    files_at,
    remove_partial,
)
from enricher.checkpoint import Committer, JobSpec, Reader, Store, in_thread
from enricher.errors import EnricherError, InputChanged
from enricher.feed import Lookup
from enricher.forecast import ASK_ABOVE, CLOSED_DOUBT, Census
from enricher.model import (
    Credits,
    Event,
    Failed,
    Item,
    Journal,
    Spent,
    State,
    Stop,
    StopCode,
)
from enricher.notice import EventName, Notice
from enricher.record import InDoubt
from enricher.report.evidence import evidence_lines
from enricher.report.summary import Summary

_NOBODY_ANSWERS = (StopCode.SERVER_GONE, StopCode.KEY_REVOKED, StopCode.SUPERSEDED)
"""Stops after which nothing more is asked: there would be no answer, or no permission."""

SNAPSHOT_INTERVAL = 1.0
"""Seconds between two summaries saved for `status`."""


class Invocation:
    """One life of a job; a context manager that closes its checkpoint."""

    def __init__(
        self,
        ready: Prepared,
        hooks: Hooks,
        job_id: str,
        started: Moment,
        feeder: Feeder,
        outside: Outside,
        position: Position,
    ) -> None:
        self._ready = ready
        self._position = position
        self._job = ready.job
        self._hooks = hooks
        self._id = job_id
        self._started = started
        self._outside = outside
        with ExitStack() as opened:
            store = Store.open(self._job.checkpoint, outside.clock)
            self._store = opened.enter_context(closing(store))
            self._reader = opened.enter_context(Reader(self._job.checkpoint))
            self._feeder_reader = opened.enter_context(Reader(self._job.checkpoint))
            self._held = opened.pop_all()
        self._feeder = feeder
        self._writer = ThreadPoolExecutor(1, "checkpoint")
        self._account = Account(ready, job_id, started, outside)
        self._account.steps_before = position.told
        self._earlier: list[Link] = []
        self._saving: list[asyncio.Future[None]] = []
        self._outgrown = False
        self._asked_to_stop: Stop | None = None
        self._signalled = False

    def __enter__(self) -> "Invocation":
        with ExitStack() as until_begun:
            until_begun.push(self.__exit__)
            self._begin()
            until_begun.pop_all()
        return self

    def _begin(self) -> None:
        briefing = self._ready.briefing
        self._number = self._store.begin(
            JobSpec(
                self._id,
                self._ready.context,
                briefing.asked,
                options=self._job.model_dump(mode="json"),
                mapping=self._ready.mapping.described(),
                output_columns=briefing.outputs,
                revision=briefing.revision,
                rows_before=briefing.rows,
            )
        )
        this_pass = self._store.this_pass
        wanted = wanted_by(self._job, self._ready.flow, this_pass)
        self._flow = replace(self._ready.flow, wanted=wanted)
        self._stops = stops_in(self._ready, this_pass, self._position.began.steady)
        self._store.save_spent(self._stops.purse.spent)

    def __exit__(self, *_: object) -> None:
        self._feeder.__exit__()
        self._writer.shutdown()
        self._held.close()

    async def run(self, census: Census | None = None) -> Summary:
        """Work the job off. `census` is what a reading of the input found just now."""
        try:
            return await self._run(census)
        except EnricherError as error:
            error.known = self._account.known()
            raise

    async def _run(self, census: Census | None) -> Summary:
        await self._save(self._account.now())  # a large input takes its time to count
        if self._job.steps:
            await self._feeder.run(self._look_around)
        counted, of_target = census, [*remarks_on_target(self._ready, self._reader)]
        is_new = self._reader.census(self._id) is None
        census, before = await self._census(counted)
        if counted is None:
            check_consent(self._ready, census, self._hooks.consent, self._reader)
        self._remark(census, before)
        if census.new_runs:
            purchase = remarks_on_purchase(census, self._ready) if is_new or before else ()
            told = await self._feeder.run(list, purchase)  # it may read on for a while
            for remark in (*of_target, *told, *remarks_on_money(self._ready)):
                self._hooks.warn(remark)
        recovery = recovery_of(self._reader, self._ready.context, self._outside.clock())
        self._account.begin(census, recovery.stalled)
        await self._save(self._account.now())
        self._hooks.ready(self._stop)
        stop = self._asked_to_stop or await self._work(recovery)
        if stop is None and self._outgrown:  # by now every run under way has ended, or stalled
            stop = await self._again()
        if stop is None and self._job.in_doubt is not InDoubt.HOLD:
            stop = await self._again(doubts=True)
        return await self._finish(stop)

    def _look_around(self) -> None:
        """Find the rows that the steps before leave open, and that none after has answered."""
        chain, lookup = self._job.chain(), self._lookup(outputs=True)
        reader, table = self._feeder_reader, self._ready.table
        links = stored_links(reader, chain[: self._job.step], table, lookup)
        self._earlier = self._held.enter_context(links)
        for job, link in zip(chain, self._earlier, strict=False):
            check_wanted(job, link.step.columns)
        after = chain[self._job.step + 1 :] if self._job.retry_failed else ()
        later = self._held.enter_context(stored_links(reader, after, table, lookup))
        own = Link(step_of(self._job, ()), self._flow, lookup)
        rows = unanswered(going_on(self._earlier), own, later)
        self._flow = replace(self._flow, earlier=rows)

    async def _again(self, *, doubts: bool = False) -> Stop | None:
        """Feed once more what the work so far has left to do."""
        self._account.begin_again()
        return self._asked_to_stop or await self._work(doubts=doubts)

    def _stop(self, stop: Stop) -> None:
        """Stop what is at work now, and begin nothing after it."""
        self._asked_to_stop = self._asked_to_stop or stop
        self._signalled = self._signalled or bool(stop.signal)
        if self._account.engine is not None:
            self._account.engine.stop(stop)

    def _remark(self, census: Census, before: Census | None) -> None:
        """Say what a person should know about what was read."""
        words = f"{census.total:,} rows, {census.new_runs:,} new runs to submit"
        self._hooks.detail(Notice(EventName.STARTED, words))
        self._account.since_last = since_last(census, before)
        for remark in (
            *(() if self._job.step else remarks_on_reading(self._job, self._ready.table, census)),
            *remarks_on(census, self._ready),
        ):
            self._hooks.warn(remark)

    # --- before ------------------------------------------------------------------------------

    async def _census(self, census: Census | None) -> tuple[Census, Census | None]:
        """Read the whole input once, unless an earlier reading of the very same file is stored.

        Returns also what the last reading found if the file was another then.
        """
        seen = seen_of(self._ready, self._flow)
        stored = self._reader.census(self._id)
        kept = stored and stored["seen"] == seen and not self._job.step  # its rows may be others
        if stored and kept and not self._asks_about(stored["census"]):
            return Census(**stored["census"]), None
        if census is None or seen["wanted"]:
            census = await self._feeder.run(self._flow.census, self._lookup())
        found = {"seen": seen, "census": asdict(census)}
        await self._stored(self._store.save_census, self._id, found)
        return census, earlier(stored, seen)

    def _asks_about(self, census: Mapping[str, Any]) -> bool:
        """Whether a person will be asked, who must hear what is still to be bought."""
        return self._hooks.consent is not None and census["new_runs"] > ASK_ABOVE

    # --- the work ----------------------------------------------------------------------------

    async def _work(self, recovery: Recovery = NOTHING, *, doubts: bool = False) -> Stop | None:
        apply = self._outside.through(self._store)
        journal = Committer(apply, in_thread(self._writer), self._heard)
        around = Surroundings(
            journal=journal,
            stops=self._stops,
            answered=self._reader.pass_has_answers(self._id),
            warn=self._hooks.warn,
            spent=self._keep_spent,
            most_in_batch=self._reader.max_batch(self._ready.context),
            learnt=self._keep_max_batch,
        )
        engine = self._account.engine = engine_for(self._ready, around)
        ticker = asyncio.create_task(self._tick())
        try:
            return await work_off(engine, self._feed(journal, doubts), recovery)
        finally:
            ticker.cancel()
            await asyncio.wait({ticker})
            await journal.close()
            while self._saving:
                await self._saving.pop()

    async def _feed(self, journal: Journal, doubts: bool) -> AsyncIterator[Sequence[Item]]:
        batches = self._flow.feed(self._lookup(), doubts=doubts)
        tally = self._account.tally
        closed: set[bytes] = set()
        while True:
            tally.reading()
            try:
                fed = await self._feeder.run(next, batches, None)
            except InputChanged as changed:
                self._stop(_stop_by(changed))
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
            self._hooks.detail(detail)

    def _keep_spent(self, spent: Spent) -> None:
        self._account.used = spent.used
        self._saving.append(asyncio.ensure_future(self._stored(self._store.save_spent, spent)))

    def _keep_max_batch(self, most: int) -> None:
        self._saving.append(asyncio.ensure_future(self._stored(self._store.save_max_batch, most)))

    async def _tick(self) -> None:
        while True:
            now = self._account.now()
            self._hooks.progress(now)
            await self._save(now)
            await asyncio.sleep(SNAPSHOT_INTERVAL)

    async def _save(self, summary: Summary) -> None:
        await self._stored(self._store.save_summary, self._number, summary.to_stored())

    async def _stored(self, write: Callable[..., None], *args: Any) -> None:
        """Write in the checkpoint's thread: one connection must not be used by two at once."""
        await asyncio.get_running_loop().run_in_executor(self._writer, write, *args)

    def _lookup(self, *, outputs: bool = False) -> Lookup:
        return self._feeder.checked(partial(self._feeder_reader.records, outputs=outputs))

    # --- after -------------------------------------------------------------------------------

    async def _finish(self, stop: Stop | None) -> Summary:
        refused = stop is not None and self._code_of(stop) == 1
        if not refused:
            try:
                await self._write(is_finished=stop is None)
            except InputChanged as changed:
                self._hooks.warn(f"no output was written: {changed.message}")
                stop = stop or _stop_by(changed)
            if self._account.written and (kept := self._account.written.kept_old):
                self._hooks.warn(f"{kept} rows keep their old result: its refresh brought none")
        self._account.in_flight = len(self._reader.unfinished(self._ready.context, State.RUNNING))
        exit_code = self._code_of(stop) if stop else self._account.exit_code()
        goes_on = stop is None and self._is_followed
        if stop is None and not goes_on:
            chain = self._job.chain()[: self._job.step]
            await self._stored(self._store.finish_pass, [job.id for job in chain])
        await self._save(self._account.now() if goes_on else self._account.ended(stop, exit_code))
        unanswered = stop is not None and (refused or stop.code in _NOBODY_ANSWERS)
        if not unanswered and not self._signalled:  # else nobody waits for it
            await self._gather_evidence(await self._ask_balance())
        summary = self._account.ended(stop, exit_code)
        if not goes_on:
            await self._save(summary)
            self._hooks.progress(summary)
        return summary

    @property
    def _is_followed(self) -> bool:
        return self._job.step + 1 < len(self._job.steps)

    async def _ask_balance(self) -> Credits | None:
        balance = await balance_of(self._ready)
        if balance is not None:
            self._account.credits_after = balance.remaining
            self._stops.purse.read(balance.used)
            await self._stored(self._store.save_spent, self._stops.purse.spent)
        return balance

    async def _gather_evidence(self, balance: Credits | None) -> None:
        this_pass = self._store.this_pass
        attempts = self._reader.attempts_of(this_pass.id)
        if not attempts[1] or self._job.shard:  # other shards use the account and target meanwhile
            return
        credits = self._stops.purse.spent.credits if balance else None
        evidence = await evidence_of(self._ready, this_pass, attempts, credits)
        await self._stored(self._store.save_evidence, asdict(evidence))
        for line in evidence_lines(evidence):
            self._hooks.warn(line)

    async def _write(self, *, is_finished: bool) -> None:
        """Write what there is: the output and the failures, or what goes beside them until then."""
        if self._job.steps:
            self._account.written = await self._feeder.run(self._count_own)
            if is_finished and self._is_followed:
                return
        for path in files_at(self._job, is_finished):
            await self._stored(self._store.claim_output, str(path))
        rows = await self._feeder.run(self._write_files, is_finished)
        if self._job.steps:
            self._account.shown = rows
        else:
            self._account.written = rows

    def _count_own(self) -> RowsWritten:
        """What the rows of this step alone show."""
        outcomes = partial(self._flow.outcomes, self._lookup())
        return Writer(self._job, self._ready.table, (), outcomes, self._hooks.warn).write(None)

    def _write_files(self, is_finished: bool) -> RowsWritten:
        reader, lookup, table = self._feeder_reader, self._lookup(outputs=True), self._ready.table
        columns = shown_columns(reader, reader.job(self._id), self._flow, lookup)
        own = Link(step_of(self._job, columns), self._flow, lookup)
        with rows_now(reader, self._job, table, self._earlier, own) as shown:
            writer = Writer(self._job, table, shown.columns, shown.outcomes, self._hooks.warn)
            rows = writer.write_at(is_finished)
        if is_finished:
            remove_partial(self._job, self._feeder_reader)
        return rows

    def _code_of(self, stop: Stop) -> int:
        return stop_code(stop, has_answers=self._reader.pass_has_answers(self._id))


def _stop_by(changed: InputChanged) -> Stop:
    return Stop(StopCode.INPUT_CHANGED, changed.message)
