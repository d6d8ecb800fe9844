"""`run` and `resume`: one invocation of a job, from the lock to the output."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from enricher import sink
from enricher.api.feeder import Feeder
from enricher.api.wiring import (
    PATIENCE,
    Prepared,
    is_begun,
    is_ours,
    layout_of,
    most_in_flight,
    nothing_known,
    open_input,
    prepared,
)
from enricher.checkpoint import Committer, Reader, Store, hold, in_thread
from enricher.engine import Engine, Tools
from enricher.errors import OutputError, ProviderRefused, ServerGone
from enricher.feed import Lookup
from enricher.job import Job
from enricher.model import (
    Item,
    Mode,
    Recovered,
    RowStatus,
    State,
    Stop,
    StopCode,
    Warn,
)
from enricher.pace import Breaker
from enricher.plan import SHARE_OF_LIMIT, Census, estimate, requests_per_run
from enricher.preflight import asker
from enricher.reactions import Refusals
from enricher.report.summary import (
    CreditTotals,
    ErrorTold,
    JobOutcome,
    RequestTotals,
    RowTotals,
    RunTotals,
    Summary,
    utc,
)
from enricher.tally import RowTally

BALANCE_PATIENCE = 10.0
"""Seconds to try to learn the balance after the job."""

SNAPSHOT_INTERVAL = 1.0
"""Seconds between two summaries saved for `status`."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a door wants to hear of a running job.

    `warn` gets one line for a person; `progress` the summary of this moment, every second; `ready`
    gets a function that stops the job, once there is something to stop.
    """

    warn: Warn = lambda _: None
    progress: Callable[[Summary], None] = lambda _: None
    ready: Callable[[Callable[[Stop], None]], None] = lambda _: None


async def run_job(job: Job, environ: Mapping[str, str], hooks: Hooks, job_id: str) -> Summary:
    """Enrich `job.input`, or go on with it; see `api.run`.

    A new checkpoint and its lock are made when nothing but the provider can be in the way any more:
    a mistake leaves no files behind.
    """
    started = Moment.now()
    table = open_input(job)
    with ExitStack() as held:
        known = is_begun(job.checkpoint)
        if known:
            held.enter_context(hold(job.checkpoint))
        _check_replaceable(job, known)
        async with prepared(job, table, environ, hooks.warn) as ready:
            feeder = held.enter_context(Feeder())
            census = None
            if not known:
                census = await feeder.run(ready.flow.census, feeder.checked(nothing_known))
                held.enter_context(hold(job.checkpoint))
            with Invocation(ready, hooks, job_id, started, feeder) as invocation:
                return await invocation.run(census)


def _check_replaceable(job: Job, known: bool) -> None:
    existing = [path for path in (job.output, job.partial) if path.exists()]
    if job.overwrite or not existing:
        return
    ours: set[str] = set()
    if known:
        with Reader(job.checkpoint) as reader:
            ours = {str(path) for path in existing if is_ours(reader, path)}
    for path in existing:
        if str(path) not in ours:
            raise OutputError(
                f"{path} exists, and no job of {job.checkpoint.name} wrote it.",
                mend="Name another output with -o, or replace this one with --overwrite.",
                code="output_exists",
            )


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment by the wall clock, and by the one that never jumps."""

    wall: float
    steady: float

    @classmethod
    def now(cls) -> "Moment":
        return cls(time.time(), time.monotonic())


class Invocation:
    """One life of a job; a context manager that closes its checkpoint."""

    def __init__(
        self, ready: Prepared, hooks: Hooks, job_id: str, started: Moment, feeder: Feeder
    ) -> None:
        self._ready = ready
        self._job = ready.job
        self._hooks = hooks
        self._id = job_id
        self._started = started
        self._store = Store.open(self._job.checkpoint)
        self._reader = Reader(self._job.checkpoint)
        self._feeder = feeder
        self._feeder_reader = Reader(self._job.checkpoint)
        self._writer = ThreadPoolExecutor(1, "checkpoint")
        self._engine: Engine | None = None
        self._tally = RowTally(0)
        self._new_runs = 0
        self._outgrown = False
        self._asked_to_stop: Stop | None = None
        self._credits_after: float | None = None

    def __enter__(self) -> "Invocation":
        self._number = self._store.begin(
            self._id,
            self._ready.context,
            self._ready.briefing.asked,
            options=self._job.model_dump(mode="json"),
            mapping=self._ready.mapping.described(),
            output_columns=[asdict(column) for column in self._ready.briefing.outputs],
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._feeder.__exit__()
        self._writer.shutdown()
        self._feeder_reader.close()
        self._reader.close()
        self._store.close()

    async def run(self, census: Census | None = None) -> Summary:
        """Work the job off. `census` is what a reading of the input found just now."""
        await self._save(self._summary(JobOutcome.RUNNING))  # a large input takes its time to count
        census = await self._census(census)
        self._remark(census)
        recovered = self._recovered()
        self._tally = RowTally(census.total, [run.key for run in recovered if run.stalled])
        self._new_runs = census.new_runs
        await self._save(self._summary(JobOutcome.RUNNING))
        self._hooks.ready(self._stop)
        stop = await self._work(recovered)
        if stop is None and self._outgrown:  # by now every run under way has ended, or stalled
            self._tally = RowTally(census.total, paid=self._tally.paid)
            stop = self._asked_to_stop or await self._work(())
        return await self._finish(stop)

    def _stop(self, stop: Stop) -> None:
        """Stop what is at work now, and begin nothing after it."""
        self._asked_to_stop = self._asked_to_stop or stop
        if self._engine is not None:
            self._engine.stop(stop)

    def _remark(self, census: Census) -> None:
        """Say what a person should know before money is spent, or about what was read."""
        if census.blank_lines:
            self._hooks.warn(f"{census.blank_lines} blank lines of the input are passed over")
        if census.bought_before:
            self._hooks.warn(
                f"{census.bought_before} inputs have a result with fewer output columns: they are"
                " run, and paid, again"
            )
        if census.new_runs:
            for remark in self._ready.briefing.remarks:
                self._hooks.warn(remark)
            if self._job.mode is Mode.SYNC:
                self._hooks.warn(
                    "sync mode: submissions that are open when the program dies are in doubt"
                )

    # --- before ------------------------------------------------------------------------------

    async def _census(self, census: Census | None) -> Census:
        """Read the whole input once, unless an earlier reading of the very same file is stored."""
        fingerprint = asdict(self._ready.table.fingerprint())
        stored = self._reader.census(self._id)
        if stored and stored["fingerprint"] == fingerprint:
            return Census(**stored["census"])
        if census is None:
            census = await self._feeder.run(self._ready.flow.census, self._lookup())
        found = {"fingerprint": fingerprint, "census": asdict(census)}
        await self._stored(self._store.save_census, self._id, found)
        return census

    def _recovered(self) -> list[Recovered]:
        now = time.time()
        return [
            Recovered(
                found.key,
                found.run_id,
                age=max(0.0, now - found.submitted_at),
                stalled=found.state is State.STALLED,
            )
            for found in self._reader.unfinished(self._ready.context, State.RUNNING, State.STALLED)
        ]

    # --- the work ----------------------------------------------------------------------------

    async def _work(self, recovered: Sequence[Recovered]) -> Stop | None:
        journal = Committer(self._store.apply, in_thread(self._writer), self._tally.hear)
        answered = self._reader.pass_has_answers(self._id)
        self._engine = Engine(
            Tools(
                provider=self._ready.provider,
                gate=self._ready.gate,
                breaker=Breaker(PATIENCE),
                refusals=Refusals(answered=answered),
                journal=journal,
                counts=self._ready.counts,
                run_timeout=self._job.run_timeout,
                warn=self._hooks.warn,
                mode=self._job.mode,
                most_in_flight=most_in_flight(self._job),
            )
        )
        ticker = asyncio.create_task(self._tick())
        try:
            return await self._engine.run(self._feed(), recovered)
        finally:
            ticker.cancel()
            await asyncio.wait({ticker})
            await journal.close()

    async def _feed(self) -> AsyncIterator[Sequence[Item]]:
        batches = self._ready.flow.feed(self._lookup())
        while True:
            self._tally.reading()
            fed = await self._feeder.run(next, batches, None)
            if fed is None:
                return
            self._tally.seen(fed.seen)
            self._outgrown = self._outgrown or fed.outgrown
            yield fed.items

    async def _tick(self) -> None:
        while True:
            now = self._summary(JobOutcome.RUNNING)
            self._hooks.progress(now)
            await self._save(now)
            await asyncio.sleep(SNAPSHOT_INTERVAL)

    async def _save(self, summary: Summary) -> None:
        await self._stored(self._store.save_summary, self._number, summary.to_json())

    async def _stored(self, write: Callable[..., None], *args: Any) -> None:
        """Write in the checkpoint's thread: one connection must not be used by two at once."""
        await asyncio.get_running_loop().run_in_executor(self._writer, write, *args)

    def _lookup(self, *, outputs: bool = False) -> Lookup:
        return self._feeder.checked(partial(self._feeder_reader.records, outputs=outputs))

    # --- after -------------------------------------------------------------------------------

    async def _finish(self, stop: Stop | None) -> Summary:
        exit_code = self._exit_code(stop)
        if exit_code != 1:
            path = self._job.output if stop is None else self._job.partial
            await self._stored(self._store.claim_output, str(path))
            await self._feeder.run(self._write_output, path)
        if stop is None:
            await self._stored(self._store.finish_pass)
            await self._save(self._summary(_outcome(stop, exit_code), stop, exit_code))
            await self._ask_balance()
        summary = self._summary(_outcome(stop, exit_code), stop, exit_code)
        await self._save(summary)
        self._hooks.progress(summary)
        return summary

    async def _ask_balance(self) -> None:
        """What is left after the job is good to know, and nothing more hangs on it."""
        ready = self._ready
        with suppress(ProviderRefused, ServerGone):
            ask = asker(ready.gate, BALANCE_PATIENCE, ready.counts, lambda _: None)
            balance = await ready.provider.balance(ask)
            self._credits_after = balance.remaining if balance else None

    def _write_output(self, path: Path) -> None:
        columns = self._feeder_reader.output_columns(self._feeder_reader.job(self._id))
        layout = layout_of(self._job, self._ready.table, columns)
        sink.write(path, layout, lambda: self._ready.flow.outcomes(self._lookup(outputs=True)))
        if path == self._job.output and is_ours(self._feeder_reader, self._job.partial):
            self._job.partial.unlink(missing_ok=True)

    def _exit_code(self, stop: Stop | None) -> int:
        if stop is None:
            counts = self._tally.counts()
            return 3 if counts[RowStatus.FAILED] or counts[RowStatus.IN_DOUBT] else 0
        match stop.code:
            case StopCode.SIGNAL:
                return 128 + stop.signal
            case StopCode.SERVER_GONE:
                return 4
            case _:
                return 5 if self._reader.pass_has_answers(self._id) else 1

    def _summary(
        self, outcome: JobOutcome, stop: Stop | None = None, exit_code: int | None = None
    ) -> Summary:
        rows = {str(status): n for status, n in self._tally.counts().items()}
        counts = self._ready.counts
        credits = self._ready.briefing.credits
        return Summary(
            job=self._id,
            outcome=outcome,
            exit_code=exit_code,
            reason_code=stop.code if stop else None,
            reason=stop.reason if stop else None,
            error=ErrorTold(stop.code, stop.reason) if stop and exit_code == 1 else None,
            provider=self._job.provider,
            target=self._job.grid,
            input=str(self._job.input),
            output=str(self._job.output),
            checkpoint=str(self._job.checkpoint),
            started_at=utc(self._started.wall),
            updated_at=utc(time.time()),
            seconds=round(time.monotonic() - self._started.steady, 1),
            eta_seconds=self._eta() if outcome is JobOutcome.RUNNING else None,
            rows=RowTotals(total=self._tally.total, **rows, reused=self._tally.reused),
            runs=RunTotals(submitted=counts.accepted, in_flight=self._in_flight(outcome)),
            requests=RequestTotals(
                total=counts.total,
                submit=counts.submit,
                poll=counts.poll,
                other=counts.other,
                rate_limited=counts.rate_limited,
                retried=counts.retried,
            ),
            credits=CreditTotals(credits.remaining if credits else None, self._credits_after),
            median_wait=self._engine.median_wait() if self._engine else None,
        )

    def _in_flight(self, outcome: JobOutcome) -> int:
        """Runs that go on; after the job, without it."""
        if outcome is JobOutcome.RUNNING:
            return self._engine.in_flight if self._engine else 0
        return len(self._reader.unfinished(self._ready.context, State.RUNNING))

    def _eta(self) -> float:
        """Seconds left, by what this job's runs needed so far, or by what runs usually need."""
        pending = self._tally.counts()[RowStatus.PENDING]
        left = min(pending, max(0, self._new_runs - self._ready.counts.accepted))
        learnt = self._engine.estimate(left) if self._engine else None
        if learnt:
            return round(learnt.seconds / SHARE_OF_LIMIT, 1)
        in_flight = self._engine.in_flight if self._engine else 0
        per_run = requests_per_run(self._job.mode)
        return estimate(left, self._ready.gate.rate, in_flight, per_run).seconds


def _outcome(stop: Stop | None, exit_code: int) -> JobOutcome:
    if stop is None:
        return JobOutcome.FINISHED if exit_code == 0 else JobOutcome.FINISHED_WITH_FAILURES
    return JobOutcome.ERROR if exit_code == 1 else JobOutcome.STOPPED
