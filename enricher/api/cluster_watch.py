"""The shards of one invocation, handed out to a cluster and watched until all are over."""

import asyncio
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from distributed.scheduler import KilledWorker

from enricher.api.cluster_task import Part, run_shard
from enricher.api.hooks import Hooks
from enricher.cluster.connecting import Cluster
from enricher.errors import CannotGoOn, CheckpointInUse, EnricherError, TryLater
from enricher.model import Stop, StopCode
from enricher.notice import EventName, Notice
from enricher.report.summary import JobOutcome, Summary, utc
from enricher.report.whole import added_up

LOOK = 0.5
"""Seconds between two looks at the shards."""

PATIENCE = 10.0
"""Seconds for which the scheduler may be silent."""

SECOND_STOP = 3.0
"""Seconds that shards have to save what they know, after the second signal."""

_ENDED = (JobOutcome.FINISHED, JobOutcome.FINISHED_WITH_FAILURES)


class Watch:
    """What is known of the shards.

    Args:
        shell: the summary of the whole, without its counts.
        accounts: how many there are, which run the shards in turn.

    Attributes:
        summaries: the last word of each shard, by number.
        errors: of those that ended without one.
        is_working: whether the shards are handed out, or about to be.
    """

    def __init__(self, shell: Summary, hooks: Hooks, accounts: int = 1) -> None:
        self.summaries: dict[int, Summary] = {}
        self.errors: dict[int, EnricherError] = {}
        self.is_working = False
        self._shell = shell
        self._hooks = hooks
        self._accounts = accounts
        self._began = time.monotonic()
        self._over: set[int] = set()
        self._told: set[str] = set()
        self._stops: list[Stop] = []
        self._stopped = asyncio.Event()

    def stop(self, stop: Stop) -> None:
        """Let all shards stop; the second time without waiting for answers."""
        self._stops.append(stop)
        self._stopped.set()

    @property
    def is_stopped(self) -> bool:
        return bool(self._stops)

    async def run(self, cluster: Cluster, part: Part, shards: int) -> None:
        """Hand out so many shards, and return when they are over.

        Raises:
            CheckpointInUse: another client of this scheduler is at work on them.
            TryLater: the scheduler does not answer any more.
        """
        self._shell = replace(self._shell, shards=shards)
        self.is_working = True
        try:
            if not await cluster.say("open", job=part.job, client=cluster.client.id):
                raise in_use(part.manifest)
            working = {
                asyncio.create_task(self._outcome(shard, future))
                for shard, future in enumerate(_submitted(cluster, part, shards))
            }
            try:
                await self._until_over(cluster, part.job, working)
            finally:
                for task in working:
                    task.cancel()
                await asyncio.wait(working)
            await cluster.say("close", job=part.job)
        except OSError:
            raise _gone(cluster.address) from None

    def now(self) -> Summary:
        """The summary of the whole."""
        seconds = round(time.monotonic() - self._began, 1)
        shell = replace(self._shell, updated_at=utc(time.time()), seconds=seconds)
        return added_up(shell, dict(sorted(self.summaries.items())), self._accounts)

    def why_stopped(self) -> tuple[Stop | None, int]:
        """What keeps the whole from being finished, and the exit code of that."""
        ended = {n for n, one in self.summaries.items() if one.outcome in _ENDED}
        if self._stops and len(ended) < self._shell.shards:
            return self._stops[0], 128 + self._stops[0].signal
        for code in (5, 1, 4):
            for shard, told in sorted(self.summaries.items()):
                if told.exit_code == code and told.reason_code:
                    reason = f"shard {shard}: {told.reason}"
                    return Stop(StopCode(told.reason_code), reason), code
        left = [str(n) for n in range(self._shell.shards) if n not in ended | self.errors.keys()]
        if left:
            reason = f"the cluster lost its workers; not finished: shard {', '.join(left)}"
            return Stop(StopCode.WORKERS_LOST, reason), 4
        return None, 0

    def fill_up(self, stored: Sequence[Summary | None]) -> None:
        """Take what the checkpoints tell of shards that ended without a last word.

        Of one that was not heard of at all, `runs` and the like are of an earlier invocation.
        """
        for shard, found in enumerate(stored):
            if found is None or (shard in self._over and shard in self.summaries):
                continue
            heard = shard in self.summaries
            mine = found if heard else replace(Summary(outcome=found.outcome), rows=found.rows)
            self.summaries[shard] = mine

    # --- while they work -------------------------------------------------------------------------

    async def _until_over(
        self, cluster: Cluster, job: str, working: set["asyncio.Task[None]"]
    ) -> None:
        """Look at the shards until all are over, or a second signal says not to wait."""
        passed_on, heard_at, give_up_at = 0, time.monotonic(), math.inf
        while any(not task.done() for task in working) and time.monotonic() < give_up_at:
            await self._a_while(working)
            try:
                for stop in self._stops[passed_on:]:
                    await cluster.say("stop", job=job, signal=stop.signal, reason=stop.reason)
                    passed_on += 1
                    if passed_on > 1:
                        give_up_at = min(give_up_at, time.monotonic() + SECOND_STOP)
                self._look(await cluster.say("watch", job=job))
                heard_at = time.monotonic()
            except OSError:
                # With the connection the scheduler has lost its client, and stops the shards.
                silent = time.monotonic() - heard_at > PATIENCE
                if silent or not cluster.is_connected or len(self._stops) > 1:
                    raise
        self._look(await cluster.say("watch", job=job))

    async def _a_while(self, working: set["asyncio.Task[None]"]) -> None:
        """Until the next look is due, or there is something to see."""
        stopped = asyncio.create_task(self._stopped.wait())
        open_ones = {task for task in working if not task.done()}
        await asyncio.wait({stopped, *open_ones}, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        with suppress(asyncio.CancelledError):
            await stopped
        self._stopped.clear()

    def _look(self, told: Mapping[str, Any]) -> None:
        """Show how all shards are going, and pass on what they say, each line once."""
        for shard, summary in told["shards"]:
            if shard not in self._over:
                self.summaries[shard] = Summary.from_json(summary)
        for line in self._lines(told):
            if line not in self._told:
                self._told.add(line)
                self._hooks.warn(line)
        self._hooks.progress(self.now())

    def _lines(self, told: Mapping[str, Any]) -> Iterator[str]:
        for event, line in told["lines"]:
            yield Notice(EventName(event), line)
        for shard in told["again"]:
            yield f"shard {shard} goes on with another worker: its first one was lost"

    async def _outcome(self, shard: int, future: Any) -> None:
        """Wait for a shard, and keep what became of it."""
        error = await future.exception()
        if isinstance(error, KilledWorker):
            self._hooks.warn(f"shard {shard} is given up: it lost one worker after another")
        elif error is not None:
            broke = CannotGoOn(
                f"Shard {shard} broke: {type(error).__name__}: {str(error).strip()}",
                mend="Nothing that was acknowledged is lost. Please report this line.",
                code="bug",
            )
            self._fail(shard, broke)
        else:
            self._keep(shard, await future.result())

    def _keep(self, shard: int, brought: Mapping[str, Any]) -> None:
        """Keep what a task gave; one that was stopped before it began gave nothing."""
        self._over.add(shard)
        if "summary" in brought:
            self.summaries[shard] = Summary.from_json(brought["summary"])
        elif "error" in brought:
            exit_code, code, message, mend = brought["error"]
            kind = TryLater if exit_code == TryLater.exit_code else CannotGoOn
            self._fail(shard, kind(f"Shard {shard}: {message}", mend=mend, code=code))

    def _fail(self, shard: int, error: EnricherError) -> None:
        """It is raised when the others are over, which may be hours later: so it is told now."""
        self.errors[shard] = error
        if len(self.errors) < self._shell.shards:
            self._hooks.warn(error.message)


def _submitted(cluster: Cluster, part: Part, shards: int) -> list[Any]:
    """One task a shard; what is asked again is another task, whose result is not known yet."""
    return [
        cluster.client.submit(
            run_shard,
            replace(part, shard=shard),
            key=f"enricher-{cluster.client.id}-{shard}",
            pure=False,
        )
        for shard in range(shards)
    ]


def in_use(manifest: Path) -> CheckpointInUse:
    """Another client has the job."""
    return CheckpointInUse(
        f"{manifest.parent} is in use by another enricher process.",
        mend="Wait for it to end, or name another --state-dir.",
    )


def _gone(address: str) -> TryLater:
    return TryLater(
        f"The scheduler of the cluster {address} does not answer any more.",
        mend="The shards stop by themselves, and all is kept: the same command later goes on.",
        code="cluster_gone",
    )
