"""What one invocation can tell of itself, at any moment: counts, time, and what is left."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from enricher.api.engines import AnyEngine, usual_requests
from enricher.api.outside import Moment, Outside
from enricher.api.pulse import Pulse
from enricher.api.wiring import Prepared
from enricher.api.writing import RowsWritten
from enricher.forecast import SHARE_OF_LIMIT, Census, estimate
from enricher.model import Event, RowStatus, Stop, StopCode
from enricher.notice import Notice
from enricher.report.summary import (
    CreditTotals,
    ErrorTold,
    JobOutcome,
    Live,
    RequestTotals,
    RowTotals,
    RunTotals,
    StepTold,
    Summary,
    utc,
)
from enricher.tally import RowTally


class Account:
    """Counts of one invocation.

    Args:
        steps_before: of a waterfall, what became of the steps before this one.

    Attributes:
        tally: rows by status, while they stream by.
        written: rows by status in the output, once it is written; they are the last word.
        used: credits that the account has used, when it was last read.
        in_flight: runs that go on without us, once the work is over.
        since_last: what became of the input since the last time, for people.
        credits_after: the balance after the job, if it could be asked for.
        shown: rows by status, all steps together, once the output is written.
    """

    def __init__(
        self,
        ready: Prepared,
        job_id: str,
        started: Moment,
        outside: Outside,
        steps_before: tuple[StepTold, ...] = (),
    ) -> None:
        self._ready = ready
        self._id = job_id
        self._started = started
        self._outside = outside
        self._new_runs = 0
        self.tally = RowTally(0)
        self._pulse = Pulse()
        self.used: float | None = None
        self.engine: AnyEngine | None = None
        self.written: RowsWritten | None = None
        self.since_last = ""
        self.in_flight = 0
        self.credits_after: float | None = None
        self._steps_before = steps_before
        self.shown: RowsWritten | None = None

    def begin(self, census: Census, looked_at: Sequence[bytes]) -> None:
        """The rows are counted; `looked_at` are the stalled runs that are looked at once more."""
        self._new_runs = census.new_runs
        self.tally = RowTally(census.total, looked_at)

    def begin_again(self) -> None:
        """The rows are fed once more."""
        self.tally = RowTally(self.tally.total, paid=self.tally.paid)

    def hear(self, event: Event) -> Notice | None:
        """Take note of an event that is on disk; see `Pulse.hear`."""
        self.tally.hear(event)
        return self._pulse.hear(event)

    def exit_code(self) -> int:
        """The code of a finished job."""
        rows = self.shown or self.written
        return rows.exit_code(self._ready.job.allow_failures) if rows else 0

    def now(self) -> Summary:
        """The summary of a job that goes on."""
        in_flight = self.engine.in_flight if self.engine else 0
        summary = self._summary(JobOutcome.RUNNING, in_flight=in_flight, eta_seconds=self._eta())
        return replace(summary, live=self._live())

    def _live(self) -> Live:
        now, ready = self._outside.now().steady, self._ready
        return self._pulse.live(now, ready.counts.total, ready.gate.rate, self._remaining())

    def _remaining(self) -> float | None:
        """The balance by what was read last; a fall of what was used is a new period, and vague."""
        credits = self._ready.briefing.credits
        if credits is None or self.used is None or self.used < credits.used:
            return credits.remaining if credits else None
        return credits.remaining - (self.used - credits.used)

    def ended(self, stop: Stop | None, exit_code: int) -> Summary:
        """The summary of a job that has ended, or was stopped."""
        summary = self._summary(
            _outcome(stop, exit_code),
            in_flight=self.in_flight,
            exit_code=exit_code,
            reason_code=stop.code if stop else None,
            reason=stop.reason if stop else None,
            error=ErrorTold(stop.code, stop.reason) if stop and exit_code == 1 else None,
        )
        return replace(summary, live=self._live())

    def known(self) -> Mapping[str, object]:
        """What an error tells of the job that it ended."""
        told = self._summary(
            JobOutcome.ERROR, in_flight=self.engine.in_flight if self.engine else 0
        )
        names = {"started_at", "updated_at", "seconds", "runs", "requests", "credits", "steps"}
        if self.tally.total:  # else they are not counted yet, and those of last time stand
            names.add("rows")
        return {name: getattr(told, name) for name in names}

    def _summary(
        self,
        outcome: JobOutcome,
        *,
        in_flight: int,
        eta_seconds: float | None = None,
        exit_code: int | None = None,
        reason_code: str | None = None,
        reason: str | None = None,
        error: ErrorTold | None = None,
    ) -> Summary:
        now = self._outside.now()
        job, counts = self._ready.job, self._ready.counts
        credits = self._ready.briefing.credits
        summary = Summary(
            job=self._id,
            outcome=outcome,
            exit_code=exit_code,
            reason_code=reason_code,
            reason=reason,
            error=error,
            provider=job.provider,
            target=job.target,
            input=str(job.input),
            output=None if job.shard else str(job.output),
            checkpoint=str(job.checkpoint),
            started_at=utc(self._started.wall),
            updated_at=utc(now.wall),
            seconds=round(now.steady - self._started.steady, 1),
            eta_seconds=eta_seconds,
            rows=self._rows(),
            runs=RunTotals(
                submitted=counts.accepted,
                resubmitted_in_doubt=counts.resubmitted_in_doubt,
                resubmitted_failed=counts.resubmitted_failed,
                in_flight=in_flight,
            ),
            requests=RequestTotals(
                total=counts.total,
                submit=counts.submit,
                poll=counts.poll,
                other=counts.other,
                rate_limited=counts.rate_limited,
                retried=counts.retried,
            ),
            credits=CreditTotals(credits.remaining if credits else None, self.credits_after),
            since_last=self.since_last,
            median_wait=self.engine.median_wait() if self.engine else None,
        )
        return summary.after(self._steps_before, self._all_steps()) if job.steps else summary

    def _all_steps(self) -> RowTotals | None:
        if self.shown is None:
            return None
        counts = {str(status): self.shown.counts[status] for status in RowStatus}
        own = self._rows()
        told = [*(step.rows for step in self._steps_before), own]
        paid = sum(rows.completed + rows.failed - rows.reused for rows in told)
        reused = max(0, counts["completed"] + counts["failed"] - paid)
        return RowTotals(own.total, **counts, reused=reused, kept_old=self.shown.kept_old)

    def _rows(self) -> RowTotals:
        counts: Mapping[RowStatus, int] = self.tally.counts()
        if self.written:
            counts = {status: self.written.counts[status] for status in RowStatus}
        answered = counts[RowStatus.COMPLETED] + counts[RowStatus.FAILED]
        return RowTotals(
            total=self.tally.total,
            **{str(status): n for status, n in counts.items()},
            reused=answered - self.tally.paid,
            kept_old=self.written.kept_old if self.written else 0,
        )

    def _eta(self) -> float:
        """Seconds left, by what this job's runs needed so far, or by what runs usually need."""
        pending = self.tally.counts()[RowStatus.PENDING]
        left = min(pending, max(0, self._new_runs - self._ready.counts.accepted))
        learnt = self.engine.estimate(left) if self.engine else None
        if learnt:
            return round(learnt.seconds / SHARE_OF_LIMIT, 1)
        in_flight = self.engine.in_flight if self.engine else 0
        per_run = usual_requests(self._ready)()
        return estimate(left, self._ready.gate.rate, in_flight, per_run).seconds


def _outcome(stop: Stop | None, exit_code: int) -> JobOutcome:
    if stop is None:
        return JobOutcome.FINISHED if exit_code == 0 else JobOutcome.FINISHED_WITH_FAILURES
    return JobOutcome.ERROR if exit_code == 1 else JobOutcome.STOPPED


def stop_code(stop: Stop, *, has_answers: bool) -> int:
    """The exit code of a stopped job; `has_answers`: whether the pass ever got a usable one."""
    match stop.code:
        case StopCode.SIGNAL:
            return 128 + stop.signal
        case StopCode.MAX_CREDITS | StopCode.MAX_FAILURES:
            return 5
        case StopCode.REFUSED | StopCode.KEY_REVOKED:
            return 5 if has_answers else 1
        case _:
            return 4
