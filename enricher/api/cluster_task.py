"""One shard in a worker of a cluster: the runner of `run`, tied to the scheduler.

A worker may be lost at any moment, and may be alive when it is thought lost. Three things keep a
shard from being bought twice: only the newest attempt is given permissions, the checkpoint is held
by one process at a time, and an intent is on disk before its submission. Where there is no disk to
share, the log in the object store is what one attempt has at a time, and where an intent must be.
"""

import asyncio
import importlib.metadata
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from distributed import Reschedule

from enricher.api.hooks import Hooks
from enricher.api.limits import HOST, LOCAL, open_budget
from enricher.api.outside import Outside, Through, directly
from enricher.api.running import run_job
from enricher.api.shards import shard_job
from enricher.api.stored_state import StoredState
from enricher.api.turns import in_turn
from enricher.budget import Budget, BudgetAway
from enricher.cluster.ledger import Orders
from enricher.cluster.rope import SUPERSEDED, FencedBudget, Rope, SchedulerBudget
from enricher.cluster.versions import another_version
from enricher.cluster.worker import Workplace
from enricher.errors import EnricherError
from enricher.job import Job
from enricher.manifest import check_seen, read_manifest
from enricher.model import Stop, StopCode
from enricher.notice import event_of
from enricher.report.summary import Summary

BEAT = 0.5
"""Seconds between two words to the scheduler."""

LOCK_PATIENCE = 150.0
"""Seconds to wait for an older attempt to leave the checkpoint: it may hold requests of 120 s."""

WORKER_CLOSES = "the worker is closed"


@dataclass(frozen=True, slots=True)
class Part:
    """What a task is told. There is no secret in it: each worker has its own key.

    Attributes:
        job: what the scheduler knows the job by.
        digest: of the manifest.
        version: of enricher.
        base_url: as named by the user of this very command.
        state: where manifest, input and checkpoints are, if not on a disk that all share.
    """

    job: str
    manifest: Path
    digest: str
    version: str
    base_url: str
    shard: int = 0
    state: StoredState | None = None


def run_shard(part: Part) -> dict[str, Any]:
    """Work one shard off; blocks. Gives a `summary`, an `error`, or nothing if it did not begin.

    Raises:
        Reschedule: the worker is about to end: another one must go on.
    """
    return asyncio.run(_Attempt(part).run())


class _Attempt:
    def __init__(self, part: Part) -> None:
        self._part = part
        self._place = Workplace()
        self._rope = Rope(self._place.say, part.job, part.shard)
        self._summary: Summary | None = None
        self._lines: list[list[str]] = []
        self._stop: Callable[[Stop], None] | None = None
        self._stops = 0

    async def run(self) -> dict[str, Any]:
        orders = await self._begun()
        if orders.stops or orders.stale:
            return {}
        work = asyncio.create_task(self._work())
        tied = asyncio.create_task(self._beat(work))
        try:
            return {"summary": (await work).to_json()}
        except asyncio.CancelledError:  # it had not begun to submit
            return {}
        except EnricherError as error:
            return {"error": [error.exit_code, error.code, error.message, error.mend]}
        except BudgetAway:  # it had not taken the shard over; whoever comes next may be heard
            raise Reschedule from None
        finally:
            tied.cancel()
            await asyncio.wait({tied})
            await self._ended()
            if self._place.closes:
                raise Reschedule

    async def _begun(self) -> Orders:
        try:
            return await self._rope.begin(self._place.address)
        except BudgetAway:  # whoever comes next may reach it
            raise Reschedule from None

    async def _ended(self) -> None:
        """Tell the last word, if somebody hears it."""
        try:
            await self._rope.beat(self._summary.to_stored() if self._summary else None, self._lines)
            await self._rope.end()
        except BudgetAway:
            return

    async def _work(self) -> Summary:
        part = self._part
        _check_version(part.version, self._place.address)
        if part.state is not None:
            return await self._work_on_copies(part.state)
        check_seen(part.manifest, part.digest)
        return await self._run(self._job(part.manifest), directly)

    async def _work_on_copies(self, state: StoredState) -> Summary:
        """Work with copies on a disk of our own; what counts is in the object store."""
        with TemporaryDirectory(prefix="enricher-", dir=self._place.folder) as scratch:
            folder = Path(scratch)
            there = await asyncio.to_thread(state.receive, self._part.digest, folder)
            job = self._job(there.manifest, read_from=there.input, state_dir=folder)
            manifest = read_manifest(there.manifest)
            await self._rope.check()  # who is late must not take over from who came after
            async with state.taken_over(manifest, self._part.shard, folder) as through:
                return await self._run(job, through)

    def _job(self, manifest: Path, *, state_dir: Path | None = None, **changes: Any) -> Job:
        given = {"base_url": self._part.base_url, **changes}
        return shard_job(manifest, self._part.shard, given, state_dir=state_dir, environ=os.environ)

    async def _run(self, job: Job, through: Through) -> Summary:
        hooks = Hooks(warn=self._warn, progress=self._progress, ready=self._ready)
        outside = Outside(budget=self._budget, through=through)
        one = partial(run_job, job, os.environ, hooks, job.id, outside)
        return await in_turn(one, max(job.retry_lock, LOCK_PATIENCE), self._warn)

    def _budget(self, limiter: str, name: str, environ: Mapping[str, str]) -> Budget | None:
        if limiter in (LOCAL, HOST):
            return SchedulerBudget(self._rope, name, alone=limiter == LOCAL)
        budget = open_budget(limiter, name, environ)
        return budget and FencedBudget(self._rope, budget)

    # --- to and from the scheduler ---------------------------------------------------------------

    def _warn(self, line: str) -> None:
        self._lines.append([str(event_of(line)), str(line)])

    def _progress(self, summary: Summary) -> None:
        self._summary = summary

    def _ready(self, stop: Callable[[Stop], None]) -> None:
        self._stop = stop

    async def _beat(self, work: "asyncio.Task[Summary]") -> None:
        """Tell how it goes until it is over; a scheduler that is away gives no permissions."""
        while True:
            lines, self._lines = self._lines, []
            summary = self._summary.to_stored() if self._summary else None
            try:
                self._heed(await self._rope.beat(summary, lines), work)
            except BudgetAway:
                self._lines = lines + self._lines
            if self._place.closes:
                self._stop_once(work, Stop(StopCode.SIGNAL, WORKER_CLOSES, 15), 1)
            await asyncio.sleep(BEAT)

    def _heed(self, orders: Orders, work: "asyncio.Task[Summary]") -> None:
        if orders.stale:
            self._stop_once(work, Stop(StopCode.SUPERSEDED, SUPERSEDED), 1)
        elif orders.stops:
            stop = Stop(StopCode.SIGNAL, orders.reason, orders.signal)
            self._stop_once(work, stop, orders.stops)

    def _stop_once(self, work: "asyncio.Task[Summary]", stop: Stop, times: int) -> None:
        """Stop the job as often as the client was told to; what submits nothing yet just ends."""
        while self._stops < times:
            self._stops += 1
            if self._stop is None:
                work.cancel()
            else:
                self._stop(stop)


def _check_version(clients: str, worker: str) -> None:
    """A worker that came later than the client's look at all of them may differ too."""
    if (ours := importlib.metadata.version("enricher")) != clients:
        raise another_version(f"worker {worker}", ours, clients)
